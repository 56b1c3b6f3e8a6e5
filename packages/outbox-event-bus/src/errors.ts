// The error hierarchy. Configuration: a mistake in the program. Validation: data that is refused. Operational: something
// outside failed and may work again. Handler: the user's own code failed.

import { formatErrorMessage, isError } from "./error-message.ts"
import type { BusEvent, FailedBusEvent } from "./event.ts"

/** What is known about an error beyond its message. */
export interface OutboxErrorContext {
  /** The event that the error is about. */
  event?: BusEvent | FailedBusEvent
  /** The error behind this one; it becomes the native `cause`. */
  cause?: unknown
  [key: string]: unknown
}

/** The name of each class of this file, and what stands for it in `instanceof`. */
const declared = new WeakMap<object, { name: string; brand: symbol }>()

/**
 * Gives a class of this file its name and its brand.
 *
 * The name is a string of its own because a minifier renames the class, and stands on the prototype because the engine
 * reads it there when it writes the first line of the stack. The brand is the same in every copy of this package: a process
 * may load it twice (by `import` and `require`, nested in another package, in a bundle), and `instanceof` must hold across them.
 */
function declareErrors(errorClass: { prototype: OutboxError }, name: string): void {
  const brand = Symbol.for(`outbox-event-bus/${name}`)
  declared.set(errorClass, { name, brand })
  Object.defineProperty(errorClass.prototype, brand, { value: true })
  nameErrors(errorClass.prototype, name)
}

function nameErrors(prototype: OutboxError, name: string): void {
  Object.defineProperty(prototype, "name", { value: name, configurable: true, writable: true })
}

/** The name for instances of `errorClass`, which may also be a subclass of a user's. */
function nameFor(errorClass: { name: string }): string {
  return declared.get(errorClass)?.name ?? errorClass.name
}

/**
 * The root of all errors of the core and of outboxes.
 *
 * For logs, an error has its `name`, `message`, `stack`, `cause` and, where they are known, `eventId`, `eventType` and
 * `attempt`. Everything else is in `context`, which code can read but which loggers, `console.error` and `JSON.stringify` leave
 * out: an event's payload must not end up in a log.
 *
 * `instanceof` also holds for errors of another copy of this package in the process.
 *
 * @typeParam TContext - the shape of `context`
 * @example
 * ```ts
 * class QuotaError extends OutboxError<{ tenant: string }> {
 *   constructor(tenant: string) {
 *     super(`Tenant ${tenant} has used up its quota`, "QuotaError", { tenant })
 *   }
 * }
 * ```
 */
export abstract class OutboxError<TContext extends OutboxErrorContext = OutboxErrorContext> extends Error {
  static {
    declareErrors(OutboxError, "OutboxError")
  }

  // biome-ignore-start lint/complexity/noThisInStatic: each subclass inherits it, and is `this` then
  static override [Symbol.hasInstance](this: object, value: unknown): boolean {
    const brand = declared.get(this)?.brand
    if (!brand) return Function.prototype[Symbol.hasInstance].call(this, value)
    try {
      return typeof value === "object" && value !== null && brand in value
    } catch {
      // A revoked Proxy is an instance of nothing.
      return false
    }
  }
  // biome-ignore-end lint/complexity/noThisInStatic: as above

  /** What was given as context, the `cause` included. Not enumerable. */
  declare context?: TContext
  /** The id of the event that the error is about, where it is known. */
  declare readonly eventId?: string
  /** The type of that event. */
  declare readonly eventType?: string
  /** The attempt that has failed. */
  declare readonly attempt?: number

  /**
   * @param message - what went wrong
   * @param name - the error's `name`
   * @param context - what else is known; its `cause` becomes the error's `cause`
   */
  constructor(message: string, name: string, context?: TContext) {
    if (!Object.hasOwn(new.target.prototype, "name")) nameErrors(new.target.prototype, name)
    super(message, context && "cause" in context ? { cause: context.cause } : undefined)
    hide(this, "name", name)
    hide(this, "context", context)
    Object.assign(this, eventFields(context))
  }

  /**
   * What `JSON.stringify` writes: name, message, which event and attempt it is about and, in short, the cause. Never throws.
   */
  toJSON(): Record<string, unknown> {
    const { cause } = this
    return {
      name: this.name,
      message: this.message,
      ...eventFields(this.context),
      ...(cause !== undefined && {
        cause: isError(cause)
          ? { name: String(read(cause, "name")), message: formatErrorMessage(cause) }
          : formatErrorMessage(cause),
      }),
    }
  }
}

/** Code can read and replace the property; loggers don't see it. */
function hide(error: OutboxError, property: string, value: unknown): void {
  Object.defineProperty(error, property, { value, writable: true, configurable: true, enumerable: false })
}

/** What every logger may show: which event, and which attempt. What can't be read of an event is not known. */
function eventFields(context: OutboxErrorContext | undefined): Record<string, unknown> {
  const event = read(context, "event")
  const field = (name: string, nameInEvent: string, type: "string" | "number") => {
    const value = read(context, name) ?? read(event, nameInEvent)
    return typeof value === type ? value : undefined
  }
  return known({
    eventId: field("eventId", "id", "string"),
    eventType: field("eventType", "type", "string"),
    attempt: field("attempt", "retryCount", "number"),
  })
}

function read(object: unknown, property: string): unknown {
  try {
    return (object as Record<string, unknown> | null | undefined)?.[property]
  } catch {
    // A getter that throws: reporting one failure must not end in another.
    return undefined
  }
}

function known(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

/** The program is set up in a way that can't work: a bad option, a second handler, an operation that isn't there. */
export class ConfigurationError<
  TContext extends OutboxErrorContext = OutboxErrorContext,
> extends OutboxError<TContext> {
  static {
    declareErrors(ConfigurationError, "ConfigurationError")
  }

  /**
   * @param message - what went wrong
   * @param context - what else is known
   */
  constructor(message: string, context?: TContext) {
    super(message, nameFor(new.target), context)
  }
}

/** A second handler for an event type that has one. */
export class DuplicateListenerError extends ConfigurationError {
  static {
    declareErrors(DuplicateListenerError, "DuplicateListenerError")
  }

  /** @param eventType - the event type whose handler is there already */
  constructor(eventType: string) {
    super(
      `Event type ${JSON.stringify(eventType)} already has a listener. You can only register one handler per event type.`,
      { eventType },
    )
  }
}

/** An operation that the outbox in use does not offer. */
export class UnsupportedOperationError extends ConfigurationError {
  static {
    declareErrors(UnsupportedOperationError, "UnsupportedOperationError")
  }

  /**
   * @param operation - the name of the method
   * @param adapterName - who does not offer it; default `"adapter"`
   */
  constructor(operation: string, adapterName = "adapter") {
    super(`Underlying outbox ${adapterName} does not support management operation: ${operation}`, {
      operation,
      adapterName,
    })
  }
}

/** Data that was refused before anything was stored or sent. */
export class ValidationError<
  TContext extends OutboxErrorContext = OutboxErrorContext,
> extends OutboxError<TContext> {
  static {
    declareErrors(ValidationError, "ValidationError")
  }

  /**
   * @param message - what was refused, and why
   * @param context - what else is known
   */
  constructor(message: string, context?: TContext) {
    super(message, nameFor(new.target), context)
  }
}

/** More events in one publish than the outbox can store at once. Nothing was stored. */
export class BatchSizeLimitError extends ValidationError {
  static {
    declareErrors(BatchSizeLimitError, "BatchSizeLimitError")
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
export class OperationalError<
  TContext extends OutboxErrorContext = OutboxErrorContext,
> extends OutboxError<TContext> {
  static {
    declareErrors(OperationalError, "OperationalError")
  }

  /**
   * @param message - what failed
   * @param context - what else is known
   */
  constructor(message: string, context?: TContext) {
    super(message, nameFor(new.target), context)
  }
}

/** An event arrived whose type has no handler on this bus. The bus reports it once per type and process. */
export class UnhandledEventError extends OperationalError {
  static {
    declareErrors(UnhandledEventError, "UnhandledEventError")
  }

  /** The id of the event. */
  declare readonly eventId: string
  /** The type of the event. */
  declare readonly eventType: string

  /**
   * @param event - the event
   * @param consequence - what becomes of such events
   */
  constructor(event: BusEvent, consequence: string) {
    super(`No handler for event type ${JSON.stringify(event.type)}: ${consequence}.`, { event })
  }
}

/** What was waited for did not come in time. */
export class TimeoutError extends OperationalError {
  static {
    declareErrors(TimeoutError, "TimeoutError")
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
    declareErrors(BackpressureError, "BackpressureError")
  }

  /**
   * @param resource - what is full
   * @param context - what else is known
   */
  constructor(resource: string, context?: OutboxErrorContext) {
    super(`Failed to publish to ${resource}: buffer full (backpressure)`, { resource, ...context })
  }
}

/** The upkeep that an outbox does in each poll failed. The poll went on. */
export class MaintenanceError<
  TContext extends OutboxErrorContext = OutboxErrorContext,
> extends OperationalError<TContext> {
  static {
    declareErrors(MaintenanceError, "MaintenanceError")
  }

  /**
   * @param cause - what the upkeep failed with
   * @param context - what else is known
   */
  constructor(cause: unknown, context?: TContext) {
    super(`Maintenance operation failed: ${formatErrorMessage(cause)}`, { ...context, cause } as TContext & {
      cause: unknown
    })
  }
}

/** An event failed for the last time and is a dead letter now. */
export class MaxRetriesExceededError<
  TContext extends OutboxErrorContext = OutboxErrorContext,
> extends OperationalError<TContext> {
  static {
    declareErrors(MaxRetriesExceededError, "MaxRetriesExceededError")
  }

  /** The id of the event. */
  declare readonly eventId: string
  /** The type of the event. */
  declare readonly eventType: string
  /** Which attempt this was, where that is known: 1 is the first. */
  declare readonly attempt?: number
  /** The dead letter. Not enumerable; also `context.event`. */
  declare readonly event: FailedBusEvent
  /** How many attempts failed. */
  readonly retryCount: number

  /**
   * @param cause - what the last attempt failed with
   * @param event - the dead letter
   * @param context - what else is known
   */
  constructor(cause: unknown, event: FailedBusEvent, context?: TContext) {
    super(`Max retries exceeded (${event.retryCount}). Event moved to DLQ.`, {
      ...context,
      cause,
      event,
    } as TContext & { cause: unknown; event: FailedBusEvent })
    hide(this, "event", event)
    this.retryCount = event.retryCount
  }
}

/** A handler failed; the event will be retried. */
export class HandlerError<
  TContext extends OutboxErrorContext = OutboxErrorContext,
> extends OutboxError<TContext> {
  static {
    declareErrors(HandlerError, "HandlerError")
  }

  /** The id of the event. */
  declare readonly eventId: string
  /** The type of the event. */
  declare readonly eventType: string
  /** Which attempt this was, where that is known: 1 is the first. */
  declare readonly attempt?: number
  /** The event that was handled. Not enumerable; also `context.event`. */
  declare readonly event: BusEvent

  /**
   * @param cause - what the handler failed with
   * @param event - the event it was given
   * @param context - what else is known; a number as `attempt` becomes the error's `attempt`
   */
  constructor(cause: unknown, event: BusEvent, context?: TContext) {
    super(`Event handler failed: ${formatErrorMessage(cause)}`, nameFor(new.target), {
      ...context,
      cause,
      event,
    } as TContext & { cause: unknown; event: BusEvent })
    hide(this, "event", event)
  }
}
