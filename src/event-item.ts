/**
 * An event as an item of the table, and back. Owns the attribute names and what makes an item readable.
 */
import { inspect, types } from "node:util"
import { type BusEvent, EventStatus, type FailedBusEvent, ValidationError } from "outbox-event-bus"
import { MAX_ITEM_BYTES, storedBytes } from "./item-size.ts"
import { fromStored, fromStoredLeniently, toStored, UnstorableValueError } from "./stored-value.ts"

/** An item as `@aws-sdk/lib-dynamodb` reads it: anything may have been written there by anyone. */
export type Item = Record<string, unknown>

/** An event's item as it is published. */
export interface EventItem extends Item {
  id: string
  type: string
  payload: unknown
  /** ISO-8601. */
  occurredAt: string
  metadata?: unknown
  status: typeof EventStatus.CREATED
  retryCount: 0
  /** Epoch milliseconds; what it means depends on the status, see `transitions.ts`. */
  gsiSortKey: number
}

const MAX_ID_BYTES = 2048

/**
 * @throws {ValidationError} that names the event and the path of what DynamoDB can't hold.
 */
export function toItem(event: BusEvent): EventItem {
  try {
    return buildItem(event)
  } catch (error) {
    if (!(error instanceof UnstorableValueError)) throw error
    throw new ValidationError(`Event ${show(event?.id)} can't be stored: ${error.message}.`, {
      cause: error,
      event,
    })
  }
}

function buildItem(event: BusEvent): EventItem {
  const { id, type, payload, occurredAt, metadata } = event ?? {}
  if (typeof id !== "string" || id === "") refuse("id", `is ${show(id)}; allowed: a non-empty string`)
  if (Buffer.byteLength(id) > MAX_ID_BYTES)
    refuse("id", `is longer than DynamoDB's ${MAX_ID_BYTES} bytes for a key`)
  if (typeof type !== "string" || type === "") refuse("type", `is ${show(type)}; allowed: a non-empty string`)
  if (!types.isDate(occurredAt)) refuse("occurredAt", `is ${show(occurredAt)}; allowed: a Date`)

  const item: EventItem = {
    id: toStored(id, "id") as string,
    type: toStored(type, "type") as string,
    // An event without payload keeps the attribute: an item that has none is a damaged one.
    payload: toStored(payload, "payload") ?? null,
    occurredAt: toStored(occurredAt, "occurredAt") as string,
    status: EventStatus.CREATED,
    retryCount: 0,
    gsiSortKey: occurredAt.getTime(),
  }
  const storedMetadata = toStored(metadata, "metadata")
  if (storedMetadata !== undefined && storedMetadata !== null) item.metadata = storedMetadata
  const bytes = storedBytes(item)
  if (bytes > MAX_ITEM_BYTES) {
    refuse("payload", `is too large: the item would have ${bytes} bytes; allowed: ${MAX_ITEM_BYTES}`)
  }
  return item
}

function refuse(path: string, reason: string): never {
  throw new UnstorableValueError(path, reason)
}

/** What an item says, or the error that says why it can't be read. */
export type ReadItem = { event: BusEvent; retryCount: number } | { unreadable: ValidationError }

/** Reads an item as an event. An absent retry count is 0, an absent payload is `undefined`. */
export function readItem(item: Item): ReadItem {
  try {
    return { event: toEvent(item), retryCount: toRetryCount(item.retryCount) }
  } catch (error) {
    return { unreadable: unreadable(item, (error as Error).message) }
  }
}

/**
 * Like {@link readItem}, for an item that has been active: everything that publishes writes a payload, so one that has
 * none by then has been damaged.
 */
export function readActiveItem(item: Item): ReadItem {
  return "payload" in item ? readItem(item) : { unreadable: unreadable(item, "payload is missing") }
}

function toEvent(item: Item): BusEvent {
  const { id, type, occurredAt, metadata } = item
  if (typeof type !== "string" || type === "") refuse("type", `is ${show(type)}`)
  const date = new Date(typeof occurredAt === "string" ? occurredAt : Number.NaN)
  if (Number.isNaN(date.getTime())) refuse("occurredAt", `is ${show(fromStoredLeniently(occurredAt))}`)
  return {
    id: String(id),
    type,
    payload: fromStored(item.payload, "payload"),
    occurredAt: date,
    ...(isMap(metadata) && { metadata: fromStored(metadata, "metadata") as Record<string, unknown> }),
  }
}

function toRetryCount(value: unknown): number {
  const count = fromStored(value ?? 0, "retryCount")
  if (typeof count !== "number" || !Number.isInteger(count) || count < 0)
    refuse("retryCount", `is ${show(count)}`)
  return count
}

function unreadable(item: Item, reason: string): ValidationError {
  return new ValidationError(`Item ${show(item.id)} can't be read as an event: ${reason}.`, {
    event: toFailedEvent(item),
  })
}

/** Reads a number such as a time; `undefined` where there is none. */
export function numberOf(value: unknown): number | undefined {
  const number = fromStoredLeniently(value)
  return typeof number === "number" && Number.isFinite(number) ? number : undefined
}

/**
 * Shows a failed event as far as it can be read: an operator must see the unreadable ones too. What is missing is
 * the empty string, and the time is the one under which the index has it.
 */
export function toFailedEvent(item: Item): FailedBusEvent {
  const occurredAt = new Date(typeof item.occurredAt === "string" ? item.occurredAt : Number.NaN)
  const startedOn = numberOf(item.startedOn)
  const failed: FailedBusEvent = {
    id: String(item.id),
    type: typeof item.type === "string" ? item.type : "",
    payload: fromStoredLeniently(item.payload),
    occurredAt: Number.isNaN(occurredAt.getTime()) ? new Date(numberOf(item.gsiSortKey) ?? 0) : occurredAt,
    retryCount: Math.max(0, numberOf(item.retryCount) ?? 0),
  }
  if (isMap(item.metadata)) failed.metadata = fromStoredLeniently(item.metadata) as Record<string, unknown>
  if (typeof item.lastError === "string") failed.error = item.lastError
  if (startedOn !== undefined) failed.lastAttemptAt = new Date(startedOn)
  return failed
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function show(value: unknown): string {
  return inspect(value, { depth: 0, maxStringLength: 100 })
}
