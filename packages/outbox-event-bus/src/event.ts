// The event: its shape on the way in, through the bus and in the dead letters, the functions that take it, and the
// states an outbox keeps it in.

/**
 * An event as outboxes store it and handlers receive it.
 *
 * @typeParam T - the event type, a string literal where it is known
 * @typeParam P - the payload
 */
export type BusEvent<T extends string = string, P = unknown> = {
  /** Unique per event; outboxes recognise a second publish of the same event by it. */
  id: string
  /** Chooses the handler. */
  type: T
  /** What happened. Which values can be stored depends on the outbox. */
  payload: P
  /** When it happened. Outboxes deliver in this order where they keep one. */
  occurredAt: Date
  /** Anything that travels with the event without being part of it: trace ids, tenant, schema version. */
  metadata?: Record<string, unknown>
}

/**
 * An event as it is given to `emit`: the bus fills in `id` (a UUID) and `occurredAt` (now) where they are missing.
 *
 * @typeParam T - the event type
 * @typeParam P - the payload
 */
export type BusEventInput<T extends string = string, P = unknown> = Omit<
  BusEvent<T, P>,
  "id" | "occurredAt"
> & {
  /** @defaultValue a new UUID */
  id?: string | undefined
  /** @defaultValue now */
  occurredAt?: Date | undefined
}

/**
 * An event whose handler failed as often as the outbox allows: a dead letter.
 *
 * @typeParam T - the event type
 * @typeParam P - the payload
 */
export type FailedBusEvent<T extends string = string, P = unknown> = BusEvent<T, P> & {
  /** The message of the last failure. */
  error?: string
  /** How many attempts failed. */
  retryCount: number
  /** When the last attempt ended or, where an outbox does not record that, began. */
  lastAttemptAt?: Date
}

/**
 * Handles one event. The event counts as handled when the promise resolves; when it rejects, the outbox tries again.
 * Delivery is at least once, so handlers must tolerate duplicates.
 */
export type EventHandler<T extends string = string, P = unknown> = (event: BusEvent<T, P>) => Promise<void>

/** A registered handler whose event type is not known to the caller, as `getListener` returns it. */
export type AnyListener = (...args: unknown[]) => unknown

/**
 * The states an outbox keeps an event in: `created` (waiting, or waiting for a retry), `active` (claimed by a worker),
 * `completed` (handled), `failed` (a dead letter).
 */
export const EventStatus = {
  CREATED: "created",
  ACTIVE: "active",
  FAILED: "failed",
  COMPLETED: "completed",
} as const

/** One of the values of {@link EventStatus}. */
export type EventStatus = (typeof EventStatus)[keyof typeof EventStatus]
