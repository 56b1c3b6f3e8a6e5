/** Hands errors to the user's `onError`, whose own failure changes nothing but a process warning. */
import {
  type BusEvent,
  type ErrorHandler,
  EventStatus,
  formatErrorMessage,
  HandlerError,
  MaxRetriesExceededError,
  OperationalError,
  type OutboxError,
} from "outbox-event-bus"
import { quoted } from "./shown.ts"
import type { FailedAttempt } from "./transitions.ts"

export class ErrorReporter {
  onError: ErrorHandler | undefined

  readonly report = (error: OutboxError): void => {
    try {
      // An async function passes as an ErrorHandler; its rejection would end the process.
      Promise.resolve(this.onError?.(error)).catch(warn)
    } catch (thrown) {
      warn(thrown)
    }
  }

  /** @param written - What was written of the attempt; undefined if the claim was lost, or the write failed. */
  attemptFailed(error: unknown, event: BusEvent, written: FailedAttempt | undefined): void {
    if (written?.status === EventStatus.FAILED) {
      const { retryCount, error: message } = written
      this.report(new MaxRetriesExceededError(error, { ...event, error: message, retryCount }))
    } else {
      this.report(new HandlerError(error, event))
    }
  }

  /** @param step - A verb, such as `claim`. */
  requestFailed(step: string, eventId: string, cause: unknown): void {
    this.report(new OperationalError(`Could not ${step} event ${quoted(eventId)}`, { cause, eventId }))
  }
}

function warn(thrown: unknown): void {
  const description = thrown instanceof Error ? thrown.stack : formatErrorMessage(thrown)
  process.emitWarning(`The onError handler of an outbox failed: ${description}`, "OutboxWarning")
}
