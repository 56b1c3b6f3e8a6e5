// Owns the table the outbox needs, as the demo, the tests and the benchmarks create it.
import { setTimeout as delay } from "node:timers/promises"
import {
  CreateTableCommand,
  DescribeTableCommand,
  type DynamoDBClient,
  type ProjectionType,
  type StreamViewType,
  type TableDescription,
} from "@aws-sdk/client-dynamodb"

/** The index's name where the user gives none, here and in the adapter. */
export const DEFAULT_INDEX_NAME = "status-gsiSortKey-index"

const ASK_EVERY_MS = 10

/** Options of {@link createOutboxTable}. */
export interface OutboxTableOptions {
  tableName: string
  /** @default "status-gsiSortKey-index" */
  indexName?: string
  /**
   * What the index carries of an item.
   *
   * @default "ALL"
   */
  projection?: Extract<ProjectionType, "ALL" | "KEYS_ONLY">
  /**
   * What the table's stream shows of a change.
   *
   * @default no stream
   */
  stream?: Extract<StreamViewType, "NEW_IMAGE" | "NEW_AND_OLD_IMAGES" | "KEYS_ONLY">
  /**
   * How long the table may take to become active, in milliseconds.
   *
   * @default 30000
   */
  activeTimeoutMs?: number
}

/** Creates an outbox table with its index, and resolves with its description when both can be used. */
export async function createOutboxTable(
  client: DynamoDBClient,
  options: OutboxTableOptions,
): Promise<TableDescription> {
  const {
    tableName,
    indexName = DEFAULT_INDEX_NAME,
    projection = "ALL",
    stream,
    activeTimeoutMs = 30_000,
  } = options
  await client.send(
    new CreateTableCommand({
      TableName: tableName,
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: [
        { AttributeName: "id", AttributeType: "S" },
        { AttributeName: "status", AttributeType: "S" },
        { AttributeName: "gsiSortKey", AttributeType: "N" },
      ],
      KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
      GlobalSecondaryIndexes: [
        {
          IndexName: indexName,
          KeySchema: [
            { AttributeName: "status", KeyType: "HASH" },
            { AttributeName: "gsiSortKey", KeyType: "RANGE" },
          ],
          Projection: { ProjectionType: projection },
        },
      ],
      ...(stream && { StreamSpecification: { StreamEnabled: true, StreamViewType: stream } }),
    }),
  )
  // The SDK's own waiter looks once a second and doesn't look at the index.
  const deadline = performance.now() + activeTimeoutMs
  for (;;) {
    const { Table: table } = await client.send(new DescribeTableCommand({ TableName: tableName }))
    if (table !== undefined && isActive(table)) return table
    if (performance.now() > deadline) {
      throw new Error(
        `table ${tableName} was still ${table?.TableStatus ?? "unknown"} after ${activeTimeoutMs} ms`,
      )
    }
    await delay(ASK_EVERY_MS)
  }
}

function isActive(table: TableDescription): boolean {
  const indexes = table.GlobalSecondaryIndexes ?? []
  return table.TableStatus === "ACTIVE" && indexes.every((index) => index.IndexStatus === "ACTIVE")
}
