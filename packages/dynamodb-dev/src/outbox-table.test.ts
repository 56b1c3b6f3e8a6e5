import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { clientFor } from "./client.ts"
import type { RunningDynamoDB } from "./engine.ts"
import { createOutboxTable } from "./outbox-table.ts"
import { startDynamoDB } from "./start-dynamodb.ts"

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"

let running: RunningDynamoDB
let client: DynamoDBClient
beforeAll(async () => {
  running = await startDynamoDB({ engine: "dynoxide" })
  client = clientFor(running.endpoint)
})
afterAll(async () => {
  client?.destroy()
  await running?.stop()
})

describe("createOutboxTable", () => {
  it("creates table and index as the outbox needs them, and waits until they are active", async () => {
    const table = await createOutboxTable(client, { tableName: "outbox" })
    expect(table).toMatchObject({
      TableStatus: "ACTIVE",
      KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
      BillingModeSummary: { BillingMode: "PAY_PER_REQUEST" },
      GlobalSecondaryIndexes: [
        {
          IndexName: "status-gsiSortKey-index",
          IndexStatus: "ACTIVE",
          KeySchema: [
            { AttributeName: "status", KeyType: "HASH" },
            { AttributeName: "gsiSortKey", KeyType: "RANGE" },
          ],
          Projection: { ProjectionType: "ALL" },
        },
      ],
    })
  })

  it("takes another index name and projection", async () => {
    const table = await createOutboxTable(client, {
      tableName: "outbox-keys",
      indexName: "by-status",
      projection: "KEYS_ONLY",
    })
    expect(table.GlobalSecondaryIndexes).toMatchObject([
      { IndexName: "by-status", Projection: { ProjectionType: "KEYS_ONLY" } },
    ])
  })

  it("names the table that isn't active in time", async () => {
    const client = { send: async () => ({ Table: { TableStatus: "CREATING" } }) } as unknown as DynamoDBClient
    await expect(createOutboxTable(client, { tableName: "slow", activeTimeoutMs: 30 })).rejects.toThrow(
      "table slow was still CREATING after 30 ms",
    )
  })
})
