// How failures reach the user's error handler, and what becomes of a failure of that handler.

import { formatErrorMessage } from "./error-message.ts"
import { HandlerError, MaxRetriesExceededError, type OutboxError } from "./errors.ts"
import type { BusEvent } from "./event.ts"
import { callGuarded } from "./guarded-call.ts"
import type { ErrorHandler } from "./outbox.ts"

/**
 * Hands an error to the user's error handler. A failure of the handler becomes a process warning: reporting an error must
 * never change what happens to an event.
 *
 * @param onError - the user's error handler, if there is one
 * @param error - what to report
 */
export function reportError(onError: ErrorHandler | undefined, error: OutboxError): void {
  callGuarded(`the error handler, given ${nameOf(error)}: ${formatErrorMessage(error)}`, () =>
    onError?.(error),
  )
}

/**
 * Reports a failed attempt to handle an event: as `MaxRetriesExceededError` where `retryCount > maxRetries`, else as
 * `HandlerError`. Never throws: a failure of `onError` becomes a process warning.
 *
 * @param onError - the user's error handler; without one, nothing happens
 * @param error - what the attempt failed with
 * @param event - the event
 * @param retryCount - how many attempts have failed, this one included
 * @param maxRetries - how many failed attempts leave the event alive
 */
export function reportEventError(
  onError: ErrorHandler | undefined,
  error: unknown,
  event: BusEvent,
  retryCount: number,
  maxRetries: number,
): void {
  if (retryCount > maxRetries) {
    const failedEvent = { ...event, error: formatErrorMessage(error), retryCount, lastAttemptAt: new Date() }
    reportError(onError, new MaxRetriesExceededError(error, failedEvent))
  } else {
    reportError(onError, new HandlerError(error, event, { attempt: retryCount }))
  }
}

/** Also of a user's own error, whose `name` may be a getter that throws. */
function nameOf(error: OutboxError): string {
  try {
    return String(error.name)
  } catch {
    return "an error"
  }
}
