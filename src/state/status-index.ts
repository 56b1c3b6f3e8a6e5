/**
 * The status index: which partition of it a status lives under, and the queries for due, stuck and failed events
 * as pure inputs. The index is a pointer: it may lag, and it need not carry more than the keys.
 */
import type { QueryCommandInput } from "@aws-sdk/lib-dynamodb"
import { EventStatus } from "outbox-event-bus"
import type { Item } from "../item/event-item.ts"

/** Where the index is. */
export interface StatusIndex {
  tableName: string
  statusIndexName: string
}

/** A row of the index: always its keys, and whatever else is projected. */
export type Row = Item & { id: string; gsiSortKey?: unknown }

/** Which part of a status to read. */
export interface PageRequest {
  /** Most rows in the page, at least 1. */
  limit: number
  /** `Page.next` of the page before. */
  startAfter?: Record<string, unknown> | undefined
}

/** A part of the due events: those that became due at `from` or later, and from which end. */
export interface DuePageRequest extends PageRequest {
  /** Epoch milliseconds. */
  from?: number | undefined
  newestFirst?: boolean | undefined
  /** Only those that have been due for so many milliseconds. */
  dueForMs?: number | undefined
}

/** The one place that knows which index partition a status lives under. */
function partitionOf(status: EventStatus): string {
  return status
}

/**
 * Events that are due at `now`, the longest due first. Only the keys are read, since the claim returns the whole
 * item.
 */
export function dueEvents(
  index: StatusIndex,
  now: number,
  { from, newestFirst, dueForMs = 0, ...page }: DuePageRequest,
): QueryCommandInput {
  const latest = now - dueForMs
  return {
    ...query(
      index,
      EventStatus.CREATED,
      page,
      from === undefined ? { ":now": latest } : { ":from": from, ":now": latest },
    ),
    ProjectionExpression: "id, gsiSortKey",
    ...(newestFirst && { ScanIndexForward: false }),
  }
}

/** Active events whose lease has expired at `now`, longest first, with all that the index carries of them. */
export function stuckEvents(index: StatusIndex, now: number, page: PageRequest): QueryCommandInput {
  return query(index, EventStatus.ACTIVE, page, { ":now": now })
}

/** Active events, whatever their lease. */
export function activeEvents(index: StatusIndex, page: PageRequest): QueryCommandInput {
  return query(index, EventStatus.ACTIVE, page)
}

/** When events occurred: at `from` or later, and at `until` or earlier. Epoch milliseconds. */
export interface OccurrenceRange {
  from?: number | undefined
  until?: number | undefined
}

/** Failed events, newest occurrence first, with all that the index carries of them. */
export function failedEvents(
  index: StatusIndex,
  page: PageRequest,
  { from, until }: OccurrenceRange = {},
): QueryCommandInput {
  const range =
    from === undefined && until === undefined
      ? undefined
      : { ":from": from ?? Number.MIN_SAFE_INTEGER, ":now": until ?? Number.MAX_SAFE_INTEGER }
  return { ...query(index, EventStatus.FAILED, page, range), ScanIndexForward: false }
}

/** A query that only counts. */
export type CountRequest = QueryCommandInput & { Select: "COUNT" }

/** @param limit - Most rows to count. */
export function counted(
  { ProjectionExpression: _, ...input }: QueryCommandInput,
  limit: number,
): CountRequest {
  return { ...input, Limit: limit, Select: "COUNT" }
}

type KeyRange = { ":now": number } | { ":from": number; ":now": number }

function query(
  index: StatusIndex,
  status: EventStatus,
  { limit, startAfter }: PageRequest,
  range?: KeyRange,
): QueryCommandInput {
  const conditions = ["#status = :status"]
  if (range) conditions.push(":from" in range ? "gsiSortKey BETWEEN :from AND :now" : "gsiSortKey <= :now")
  return {
    TableName: index.tableName,
    IndexName: index.statusIndexName,
    KeyConditionExpression: conditions.join(" AND "),
    ExpressionAttributeNames: { "#status": "status" },
    ExpressionAttributeValues: { ":status": partitionOf(status), ...range },
    Limit: limit,
    ...(startAfter && { ExclusiveStartKey: startAfter }),
  }
}
