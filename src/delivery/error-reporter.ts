/** Hands errors to the user's `onError`, whose own failure changes nothing but a process warning. */
import {
  type BusEvent,
  ConfigurationError,
  type ErrorHandler,
  EventStatus,
  HandlerError,
  MaintenanceError,
  MaxRetriesExceededError,
  OperationalError,
  OutboxError,
  ValidationError,
} from "outbox-event-bus"
import { errorText } from "../process/error-text.ts"
import { quoted } from "../process/shown.ts"
import type { FailedAttempt } from "../state/transitions.ts"

export class ErrorReporter {
  onError: ErrorHandler | undefined

  /** What is wrong with the setup, and is told once, however often it makes something fail. */
  private readonly told = new WeakSet<object>()

  readonly report = (error: OutboxError): void => {
    const what = error instanceof MaintenanceError ? error.cause : error
    const reason = what instanceof ConfigurationError ? what : undefined
    if (reason && this.told.has(reason)) return
    if (reason) this.told.add(reason)
    try {
      // An async function passes as an ErrorHandler; its rejection would end the process.
      Promise.resolve(this.onError?.(reason ?? error)).catch(warn)
    } catch (thrown) {
      warn(thrown)
    }
  }

  /** @param written - What was written of the attempt; undefined if the claim was lost, or the write failed. */
  attemptFailed(error: unknown, event: BusEvent, written: FailedAttempt | undefined): void {
    if (written?.status === EventStatus.FAILED) {
      const { retryCount, error: message } = written
      const deadLetter = { ...event, error: message, retryCount }
      this.report(readable(error, (cause) => new MaxRetriesExceededError(cause, deadLetter)))
    } else {
      const context = written && { attempt: written.retryCount }
      this.report(readable(error, (cause) => new HandlerError(cause, event, context)))
    }
  }

  /** A poll was interrupted that had got something done: for the core, it has not failed. */
  pollFailed(cause: unknown): void {
    this.report(
      cause instanceof OutboxError ? cause : new OperationalError("Polling cycle failed", { cause }),
    )
  }

  /** @param step - A verb, such as `claim`. */
  requestFailed(step: string, eventId: string, cause: unknown): void {
    // It says what is wrong with the item.
    if (cause instanceof ValidationError) this.report(cause)
    else this.report(new OperationalError(`Could not ${step} event ${quoted(eventId)}`, { cause, eventId }))
  }
}

/** Handlers can throw what can't be looked at, and not every core's errors can be made of that. */
function readable<T>(thrown: unknown, make: (cause: unknown) => T): T {
  try {
    return make(thrown)
  } catch {
    return make(new Error(errorText(thrown)))
  }
}

function warn(thrown: unknown): void {
  process.emitWarning(`The onError handler of an outbox failed: ${stackOf(thrown)}`, "OutboxWarning")
}

function stackOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error && typeof thrown.stack === "string") return thrown.stack
  } catch {
    // Neither can its stack be read.
  }
  return errorText(thrown)
}
