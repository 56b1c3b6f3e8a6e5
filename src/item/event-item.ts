/**
 * An event as an item of the table, and back. Owns the attribute names and what makes an item readable.
 */
import { types } from "node:util"
import { type BusEvent, EventStatus, type FailedBusEvent, ValidationError } from "outbox-event-bus"
import { listed, quoted, shown } from "../process/shown.ts"
import { warnOnce } from "../process/warnings.ts"
import { MAX_ITEM_BYTES, storedBytes } from "./item-size.ts"
import { UnstorableEventError } from "./publish-errors.ts"
import {
  fromStored,
  fromStoredLeniently,
  numberOf,
  readAt,
  toStored,
  UnstorableValueError,
} from "./stored-value.ts"

/** An item as `@aws-sdk/lib-dynamodb` reads it: anything may have been written there by anyone. */
export type Item = Record<string, unknown>

/** An event's item as it is published. */
export interface EventItem extends Item {
  id: string
  type: string
  /** Absent where the event's is undefined. */
  payload?: unknown
  /** Only where the payload is undefined: an active item that has lost its payload must not be taken for such a one. */
  hasPayload?: false
  /** ISO-8601. */
  occurredAt: string
  metadata?: unknown
  status: typeof EventStatus.CREATED
  retryCount: 0
  /** Epoch milliseconds; what it means depends on the status, see `transitions.ts`. */
  gsiSortKey: number
}

const MAX_ID_BYTES = 2048

/** @throws {UnstorableEventError} that names the event and the path of what DynamoDB can't hold. */
export function toItem(event: BusEvent): EventItem {
  try {
    const item = buildItem(fieldsOf(event))
    if (item.hasPayload === false) warnOfUnknownKeys(event)
    return item
  } catch (error) {
    if (!(error instanceof UnstorableValueError)) throw error
    throw new UnstorableEventError(event, error)
  }
}

/** Each of them read once: they may be getters of the caller's. */
function fieldsOf(event: BusEvent): BusEvent {
  const read = <Key extends keyof BusEvent>(key: Key) => readAt(key, () => event?.[key])
  const [id, type, payload] = [read("id"), read("type"), read("payload")]
  const [occurredAt, metadata] = [read("occurredAt"), read("metadata")]
  return { id, type, payload, occurredAt, ...(metadata !== undefined && { metadata }) } as BusEvent
}

const KNOWN_KEYS = new Set(["id", "type", "payload", "occurredAt", "metadata"])

/** An event may have no payload. One that has none but a key which no event has was hardly meant so. */
function warnOfUnknownKeys(event: BusEvent): void {
  const unknown = Object.keys(event).filter((key) => !KNOWN_KEYS.has(key))
  if (unknown.length === 0) return
  warnOnce(
    "OUTBOX_UNKNOWN_EVENT_KEY",
    `Events of type ${shown(event.type)} are published without a payload, but with ${listed(unknown)}, which is not stored. ` +
      `Keys of an event: ${[...KNOWN_KEYS].join(", ")}.`,
  )
}

function buildItem({ id, type, payload, occurredAt, metadata }: BusEvent): EventItem {
  if (typeof id !== "string" || id === "") refuse("id", `is ${shown(id)}; allowed: a non-empty string`)
  if (Buffer.byteLength(id) > MAX_ID_BYTES)
    refuse("id", `is longer than DynamoDB's ${MAX_ID_BYTES} bytes for a key`)
  if (typeof type !== "string" || type === "")
    refuse("type", `is ${shown(type)}; allowed: a non-empty string`)
  if (!types.isDate(occurredAt)) refuse("occurredAt", `is ${shown(occurredAt)}; allowed: a Date`)

  const storedPayload = toStored(payload, "payload")
  const item: EventItem = {
    id: toStored(id, "id") as string,
    type: toStored(type, "type") as string,
    ...(storedPayload === undefined ? { hasPayload: false } : { payload: storedPayload }),
    occurredAt: toStored(occurredAt, "occurredAt") as string,
    status: EventStatus.CREATED,
    retryCount: 0,
    gsiSortKey: occurredAt.getTime(),
  }
  const storedMetadata = toStored(metadata, "metadata") ?? undefined
  if (storedMetadata !== undefined) {
    if (!isMap(storedMetadata))
      refuse("metadata", `is ${kindOf(metadata)}; allowed: an object with string keys`)
    item.metadata = storedMetadata
  }
  const bytes = storedBytes(item)
  if (bytes > MAX_ITEM_BYTES) {
    refuse("payload", `is too large: the item would have ${bytes} bytes; allowed: ${MAX_ITEM_BYTES}`)
  }
  return item
}

/** Without its value: metadata is as confidential as the payload. */
function kindOf(value: unknown): string {
  return typeof value === "object" ? shown(value) : `a ${typeof value}`
}

function refuse(path: string, reason: string): never {
  throw new UnstorableValueError(path, reason)
}

/** Whether an item is an event, be it malformed: everything that publishes one writes both attributes. */
export function isEventItem(item: Item): boolean {
  return item.occurredAt !== undefined || item.retryCount !== undefined
}

/** An item that is no event was found where only events should be. */
export function foreignItem(tableName: string, id: string): ValidationError {
  return new ValidationError(
    `Item ${quoted(id)} in table "${tableName}" is not an event: it has neither occurredAt nor retryCount. It was left alone. ` +
      "An outbox needs a table of its own.",
    { eventId: id },
  )
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
 * Like {@link readItem}, for an item that has been active: everything that publishes writes a payload, or that there is
 * none, so an item without either has been damaged by then.
 */
export function readActiveItem(item: Item): ReadItem {
  return "payload" in item || item.hasPayload === false
    ? readItem(item)
    : { unreadable: unreadable(item, "payload is missing") }
}

function toEvent(item: Item): BusEvent {
  const { id, type, occurredAt, metadata } = item
  if (typeof type !== "string" || type === "") refuse("type", `is ${shown(type)}`)
  const date = new Date(typeof occurredAt === "string" ? occurredAt : Number.NaN)
  if (Number.isNaN(date.getTime())) refuse("occurredAt", `is ${shown(fromStoredLeniently(occurredAt))}`)
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
    refuse("retryCount", `is ${shown(count)}`)
  return count
}

function unreadable(item: Item, reason: string): ValidationError {
  return new ValidationError(`Item ${shown(item.id)} can't be read as an event: ${reason}.`, {
    event: toFailedEvent(item),
  })
}

function dateOf(value: unknown): Date | undefined {
  const date = new Date(numberOf(value) ?? Number.NaN)
  return Number.isNaN(date.getTime()) ? undefined : date
}

/**
 * Shows a failed event as far as it can be read: an operator must see the unreadable ones too. What is missing is
 * the empty string, and the time is the one under which the index has it.
 */
export function toFailedEvent(item: Item): FailedBusEvent {
  const occurredAt = new Date(typeof item.occurredAt === "string" ? item.occurredAt : Number.NaN)
  const startedOn = dateOf(item.startedOn)
  const failed: FailedBusEvent = {
    id: String(item.id),
    type: typeof item.type === "string" ? item.type : "",
    payload: fromStoredLeniently(item.payload),
    occurredAt: Number.isNaN(occurredAt.getTime()) ? (dateOf(item.gsiSortKey) ?? new Date(0)) : occurredAt,
    retryCount: Math.max(0, numberOf(item.retryCount) ?? 0),
  }
  if (isMap(item.metadata)) failed.metadata = fromStoredLeniently(item.metadata) as Record<string, unknown>
  if (typeof item.lastError === "string") failed.error = item.lastError
  if (startedOn !== undefined) failed.lastAttemptAt = startedOn
  return failed
}

/** A DynamoDB map, as it is written or read: no list, set, number or binary value. */
function isMap(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false
  return types.isMap(value) || Object.getPrototypeOf(value) === Object.prototype
}
