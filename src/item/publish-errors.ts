/** What `publish` refuses, each a {@link ValidationError} of its own: a caller treats a repeated id unlike a bad payload. */
import { type BusEvent, ValidationError } from "outbox-event-bus"
import { listed, shown } from "../process/shown.ts"
import type { UnstorableValueError } from "./stored-value.ts"

/**
 * Events with these ids are in the table already; nothing was published. To whoever publishes again after a lost
 * response, or receives a webhook twice, it says that the event has been stored.
 *
 * Thrown where the outbox sends by itself. In a transaction of yours, DynamoDB's `TransactionCanceledException` says it.
 *
 * @example
 * ```ts
 * await bus.emit({ id: webhook.id, type: "payment.received", payload }).catch((error) => {
 *   if (!(error instanceof EventAlreadyPublishedError)) throw error
 * })
 * ```
 */
export class EventAlreadyPublishedError extends ValidationError {
  override readonly name = "EventAlreadyPublishedError"
  /** The ids that are in the table already. */
  readonly eventIds: readonly string[]

  /**
   * @param tableName - The outbox table.
   * @param eventIds - The ids that are there already.
   * @param cause - DynamoDB's error.
   */
  constructor(tableName: string, eventIds: readonly string[], cause?: unknown) {
    super(`Events are in the table "${tableName}" already: ${listed(eventIds)}. Nothing was published.`, {
      eventIds,
      ...(cause !== undefined && { cause }),
    })
    this.eventIds = eventIds
  }
}

/** Ids occur twice in one `publish` or one transaction, which DynamoDB would refuse as a whole; nothing was published. */
export class DuplicateEventIdError extends ValidationError {
  override readonly name = "DuplicateEventIdError"
  /** The ids that occur twice. */
  readonly eventIds: readonly string[]

  /** @param eventIds - The ids that occur twice. */
  constructor(eventIds: readonly string[]) {
    super(`Event ids occur twice in one transaction: ${listed(eventIds)}. Nothing was published.`, {
      eventIds,
    })
    this.eventIds = eventIds
  }
}

/** An event holds what DynamoDB can't store; the message names event and path. Nothing was published. */
export class UnstorableEventError extends ValidationError {
  override readonly name = "UnstorableEventError"
  /** The id of the event, if it has one. */
  declare readonly eventId?: string
  /** Where in the event, for example `payload.total`. */
  readonly path: string

  /**
   * @param event - The event.
   * @param cause - What can't be stored, and where.
   */
  constructor(event: BusEvent, cause: UnstorableValueError) {
    const eventId = idOf(event)
    super(`Event ${shown(eventId)} can't be stored: ${cause.message}.`, { cause, event, path: cause.path })
    if (typeof eventId === "string") this.eventId = eventId
    this.path = cause.path
  }
}

function idOf(event: BusEvent): unknown {
  try {
    return event?.id
  } catch {
    return undefined
  }
}
