/** The adapter keeps the promises that every outbox makes, on either kind of index. */
import { TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import { describe, it } from "vitest"
import { type ConformanceStore, outboxConformance } from "../packages/outbox-event-bus/src/testing.ts"
import type { DynamoDBAwsSdkTransactionCollector, TransactWriteItem } from "../src/index.ts"
import { createTable, type Projection, type TestTable } from "./fixture/table.ts"
import { outboxOn } from "./fixture/worker.ts"

type Collector = DynamoDBAwsSdkTransactionCollector

const storeOn = (table: TestTable): ConformanceStore<Collector> => ({
  createOutbox: ({ maxRetries }) => outboxOn(table, { maxRetries }),
  begin: () => {
    const items: TransactWriteItem[] = []
    return {
      transaction: { items, push: (item) => void items.push(item) },
      commit: async () => {
        await table.documents.send(new TransactWriteCommand({ TransactItems: items }))
      },
      rollback: async () => {},
    }
  },
})

const conformanceOn = (projection: Projection) =>
  outboxConformance({
    openStore: async () => storeOn(await createTable({ projection })),
    capabilities: {
      handlerRuns: "maxRetries",
      order: "occurrence",
      refusesDuplicates: true,
      delaysFutureEvents: true,
      transactions: true,
      sharedStore: true,
    },
    // What DynamoDB holds beyond JSON, and comes back as it was.
    payloads: [
      12345678901234567890n,
      new Uint8Array([0, 1, 255]),
      new Set(["a", "b"]),
      { large: "x".repeat(100_000) },
    ],
  })

describe("the adapter", () => {
  for (const { name, run } of conformanceOn("ALL")) it(name, run)
})

describe("with an index that projects nothing but the keys, the adapter", () => {
  const cases = conformanceOn("KEYS_ONLY").filter(({ name }) => name.includes("dead letter"))
  for (const { name, run } of cases) it(name, run)
})
