// Owns the events that are measured: their sizes, and how a table gets a backlog of them.

import { DeleteTableCommand, type DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { BatchWriteCommand, type DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import { createOutboxTable } from "@outbox-event-bus/dynamodb-dev"
import type { BusEvent } from "outbox-event-bus"
import { documentClientFor } from "../../src/database/document-client.ts"
import { toItem } from "../../src/item/event-item.ts"

export const EVENT_TYPE = "order.placed"

export type EventSize = "300 B" | "10 KB"

/**
 * Bytes of the payload's text. The item of a "10 KB" event stays below 10,240 bytes in every state of its life (it is
 * longest while it is claimed), since DynamoDB bills by the started kilobyte of the item, not of the payload.
 */
const TEXT_BYTES: Record<EventSize, number> = { "300 B": 280, "10 KB": 9_850 }

export function newEvent(size: EventSize, number: number, occurredAt: Date): BusEvent {
  return {
    id: `event-${String(number).padStart(6, "0")}`,
    type: EVENT_TYPE,
    payload: { number, text: "x".repeat(TEXT_BYTES[size]) },
    occurredAt,
  }
}

/** `count` events that became due a while ago, one per millisecond, so that their order is known. */
export function overdueEvents(count: number, size: EventSize = "300 B"): BusEvent[] {
  const start = Date.now() - count - 1000
  return Array.from({ length: count }, (_, i) => newEvent(size, i, new Date(start + i)))
}

const BATCH = 25
const BATCHES_IN_FLIGHT = 8

export interface BacklogOptions {
  tableName: string
  events: readonly BusEvent[]
  projection?: "ALL" | "KEYS_ONLY"
  /** What its stream shows; default: no stream. */
  stream?: "NEW_IMAGE"
}

/** Creates the table with the items that publishing `events` would have written. */
export async function createBacklog(client: DynamoDBClient, options: BacklogOptions): Promise<void> {
  const { tableName, events, projection = "ALL", stream } = options
  await createOutboxTable(client, { tableName, projection, ...(stream && { stream }) })
  const documents = documentClientFor(client)
  let next = 0
  const write = async () => {
    while (next < events.length) {
      const batch = events.slice(next, next + BATCH)
      next += BATCH
      await writeBatch(documents, tableName, batch)
    }
  }
  await Promise.all(Array.from({ length: BATCHES_IN_FLIGHT }, write))
}

async function writeBatch(client: DynamoDBDocumentClient, tableName: string, events: readonly BusEvent[]) {
  const requests = events.map((event) => ({ PutRequest: { Item: toItem(event) } }))
  const answer = await client.send(new BatchWriteCommand({ RequestItems: { [tableName]: requests } }))
  const left = answer.UnprocessedItems?.[tableName]?.length ?? 0
  if (left > 0) throw new Error(`The engine left ${left} items of a batch unwritten.`)
}

/** Ended tables would fill the engine's memory and slow it down. */
export async function dropTable(client: DynamoDBClient, tableName: string): Promise<void> {
  await client.send(new DeleteTableCommand({ TableName: tableName }))
}
