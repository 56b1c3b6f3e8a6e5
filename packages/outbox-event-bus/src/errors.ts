// The error hierarchy. Configuration: a mistake in the program. Validation: data that is refused. Operational: something
// outside failed and may work again. Handler: the user's own code failed.

import { formatErrorMessage } from "./error-message.ts"
import type { BusEvent, FailedBusEvent } from "./event.ts"

/** What is known about an error beyond its message. */
export interface OutboxErrorContext {
  /** The error behind this one; it becomes the native `cause`. */
  cause?: unknown
  [key: string]: unknown
}

/**
 * Names a class of errors. The name is a string of its own because a minifier renames the class, and stands on the
 * prototype because the engine reads it there when it writes the first line of the stack.
 */
function nameErrors(errorClass: { prototype: OutboxError }, name: string): void {
  Object.defineProperty(errorClass.prototype, "name", { value: name, configurable: true, writable: true })
}

/**
 * The root of all errors of the core and of outboxes.
 *
 * `name` is the class's name, also in minified code. A subclass elsewhere gets its own class name without doing anything.
 */
export abstract class OutboxError extends Error {
  static {
    nameErrors(OutboxError, "OutboxError")
  }

  /** What was given as context, the `cause` included. */
  declare readonly context?: OutboxErrorContext

  /**
   * @param message - what went wrong
   * @param context - what else is known; its `cause` becomes the error's `cause`
   */
  constructor(message: string, context?: OutboxErrorContext) {
    if (!Object.hasOwn(new.target.prototype, "name")) nameErrors(new.target, new.target.name)
    super(message, context && "cause" in context ? { cause: context.cause } : undefined)
    if (context) this.context = context
  }

  /**
   * What `JSON.stringify` writes: name, message, context and, in short, the cause. Events are shown by id and type alone:
   * a payload can be large, confidential, or something that JSON can't hold.
   */
  toJSON(): Record<string, unknown> {
    const { cause, ...details } = this.context ?? {}
    return {
      name: this.name,
      message: this.message,
      ...(Object.keys(details).length > 0 && { context: details }),
      ...(cause !== undefined && {
        cause:
          cause instanceof Error ? { name: cause.name, message: cause.message } : formatErrorMessage(cause),
      }),
    }
  }
}

/** The program is set up in a way that can't work: a bad option, a second handler, an operation that isn't there. */
export class ConfigurationError extends OutboxError {
  static {
    nameErrors(ConfigurationError, "ConfigurationError")
  }
}

/** A second handler for an event type that has one. */
export class DuplicateListenerError extends ConfigurationError {
  static {
    nameErrors(DuplicateListenerError, "DuplicateListenerError")
  }

  /** @param eventType - the event type whose handler is there already */
  constructor(eventType: string) {
    super(`A handler for event type "${eventType}" is already registered: each type has exactly one.`, {
      eventType,
    })
  }
}

/** An operation that the outbox in use does not offer. */
export class UnsupportedOperationError extends ConfigurationError {
  static {
    nameErrors(UnsupportedOperationError, "UnsupportedOperationError")
  }

  /**
   * @param operation - the name of the method
   * @param adapterName - who does not offer it; default `"adapter"`
   */
  constructor(operation: string, adapterName = "adapter") {
    super(`Operation "${operation}" is not supported by this ${adapterName}.`, { operation, adapterName })
  }
}

/** Data that was refused before anything was stored or sent. */
export class ValidationError extends OutboxError {
  static {
    nameErrors(ValidationError, "ValidationError")
  }
}

/** More events in one publish than the outbox can store at once. Nothing was stored. */
export class BatchSizeLimitError extends ValidationError {
  static {
    nameErrors(BatchSizeLimitError, "BatchSizeLimitError")
  }

  /**
   * @param limit - the largest number of events allowed
   * @param actual - the number of events given
   */
  constructor(limit: number, actual: number) {
    super(`Cannot publish ${actual} events because the batch size limit is ${limit}.`, { limit, actual })
  }
}

/** Something outside failed, or took too long; the same call may succeed later. */
export class OperationalError extends OutboxError {
  static {
    nameErrors(OperationalError, "OperationalError")
  }
}

/** What was waited for did not come in time. */
export class TimeoutError extends OperationalError {
  static {
    nameErrors(TimeoutError, "TimeoutError")
  }

  /**
   * @param operation - what was waited for
   * @param timeoutMs - how long, in milliseconds
   * @param context - what else is known
   */
  constructor(operation: string, timeoutMs: number, context?: OutboxErrorContext) {
    super(`Timed out waiting for ${operation} after ${timeoutMs}ms`, { operation, timeoutMs, ...context })
  }
}

/** A resource takes no more work for now. */
export class BackpressureError extends OperationalError {
  static {
    nameErrors(BackpressureError, "BackpressureError")
  }

  /** @param resource - what is full */
  constructor(resource: string) {
    super(`Backpressure: ${resource} takes no more work for now.`, { resource })
  }
}

/** The upkeep that an outbox does in each poll failed. The poll went on. */
export class MaintenanceError extends OperationalError {
  static {
    nameErrors(MaintenanceError, "MaintenanceError")
  }

  /** @param cause - what the upkeep failed with */
  constructor(cause: unknown) {
    super(`Maintenance operation failed: ${formatErrorMessage(cause)}`, { cause })
  }
}

/** An event failed for the last time and is a dead letter now. */
export class MaxRetriesExceededError extends OperationalError {
  static {
    nameErrors(MaxRetriesExceededError, "MaxRetriesExceededError")
  }

  /** The dead letter. */
  readonly event: FailedBusEvent
  /** How many attempts failed. */
  readonly retryCount: number

  /**
   * @param cause - what the last attempt failed with
   * @param event - the dead letter
   */
  constructor(cause: unknown, event: FailedBusEvent) {
    const { id: eventId, type: eventType, retryCount } = event
    super(`Max retries exceeded (${retryCount}). Event moved to DLQ.`, {
      cause,
      eventId,
      eventType,
      retryCount,
    })
    this.event = event
    this.retryCount = retryCount
  }
}

/** A handler failed; the event will be tried again. */
export class HandlerError extends OutboxError {
  static {
    nameErrors(HandlerError, "HandlerError")
  }

  /** The event that was handled. */
  readonly event: BusEvent

  /**
   * @param cause - what the handler failed with
   * @param event - the event it was given
   */
  constructor(cause: unknown, event: BusEvent) {
    super(`Event handler failed: ${formatErrorMessage(cause)}`, {
      cause,
      eventId: event.id,
      eventType: event.type,
    })
    this.event = event
  }
}
