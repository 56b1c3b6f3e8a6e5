// Events that nobody handles: what becomes of them, and who is told.

import { reportError } from "./error-reporting.ts"
import { ConfigurationError, UnhandledEventError } from "./errors.ts"
import type { BusEvent } from "./event.ts"
import type { ErrorHandler } from "./outbox.ts"
import { isRelease, RELEASE } from "./release.ts"

/**
 * What becomes of an event whose type has no handler. `"complete"`: it counts as handled. `"release"`: it goes back to the
 * outbox for another worker, not counted as an attempt, and is seen again after a pause. `"fail"`: it counts as a failed attempt.
 */
export type UnhandledEvents = "complete" | "release" | "fail"

const CHOICES: readonly UnhandledEvents[] = ["complete", "release", "fail"]

const CONSEQUENCES: Record<UnhandledEvents, string> = {
  complete: "such events count as handled",
  release: "such events are released for another worker",
  fail: "such events fail",
}

/** Each type is reported once in a process. Bounded, since types may be made up from outside. */
const reportedTypes = new Set<string>()
const MAX_REPORTED_TYPES = 1000

/** @throws {@link ConfigurationError} for another value, and for `"release"` with an outbox that can't take events back */
export function resolveUnhandledEvents(
  value: UnhandledEvents | null | undefined,
  outbox: object,
): UnhandledEvents {
  const choice = value ?? "complete"
  const choices = CHOICES.filter((allowed) => allowed !== "release" || canRelease(outbox))
  if (choices.includes(choice)) return choice
  const allowed = choices.map((choice) => JSON.stringify(choice)).join(", ")
  const reason = choice === "release" ? " The outbox does not support it." : ""
  throw new ConfigurationError(
    `Invalid unhandledEvents: ${JSON.stringify(choice)}.${reason} Allowed: ${allowed}.`,
    {
      option: "unhandledEvents",
      value: choice,
      allowed,
    },
  )
}

/**
 * Sees to an event whose type has no handler.
 *
 * @throws {@link UnhandledEventError} unless such events count as handled
 */
export function handleUnhandled(event: BusEvent, choice: UnhandledEvents, onError: ErrorHandler): void {
  const error = new UnhandledEventError(event, CONSEQUENCES[choice])
  // A failure is reported by the outbox, each time.
  if (choice === "fail") throw error
  if (!reportedTypes.has(event.type) && reportedTypes.size < MAX_REPORTED_TYPES) {
    reportedTypes.add(event.type)
    reportError(onError, error)
  }
  if (choice === "release") throw askForRelease(error)
}

/** Whether an outbox can take an event back. */
export function canRelease(outbox: object | null | undefined): boolean {
  return isRelease(outbox)
}

/** Makes an error ask the outbox to take the event back. */
export function askForRelease<E extends Error>(error: E): E {
  return Object.defineProperty(error, RELEASE, { value: true })
}
