// Owns the tables of the demo: creating them, reading all their items, and dropping them from an existing database.
import {
  CreateTableCommand,
  DeleteTableCommand,
  type DynamoDBClient,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb"
import { type DynamoDBDocumentClient, paginateScan } from "@aws-sdk/lib-dynamodb"
import { createOutboxTable } from "@outbox-event-bus/dynamodb-dev"
import type { TableNames } from "../order-service/settings.ts"

export async function createTables(client: DynamoDBClient, tables: TableNames): Promise<void> {
  await Promise.all([
    createOutboxTable(client, { tableName: tables.outbox, projection: "KEYS_ONLY" }),
    createTable(client, tables.orders, "orderId"),
    createTable(client, tables.shipments, "eventId"),
  ])
}

async function createTable(client: DynamoDBClient, tableName: string, key: string): Promise<void> {
  await client.send(
    new CreateTableCommand({
      TableName: tableName,
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: [{ AttributeName: key, AttributeType: "S" }],
      KeySchema: [{ AttributeName: key, KeyType: "HASH" }],
    }),
  )
  await waitUntilTableExists(
    { client, maxWaitTime: 10, minDelay: 0.05, maxDelay: 0.2 },
    { TableName: tableName },
  )
}

export async function dropTables(client: DynamoDBClient, tables: TableNames): Promise<void> {
  for (const TableName of Object.values(tables)) await client.send(new DeleteTableCommand({ TableName }))
}

/** Reads all items of a table, page by page. */
export async function scanAll(documents: DynamoDBDocumentClient, tableName: string) {
  const items: Record<string, unknown>[] = []
  const pages = paginateScan({ client: documents }, { TableName: tableName, ConsistentRead: true })
  for await (const page of pages) items.push(...(page.Items ?? []))
  return items
}
