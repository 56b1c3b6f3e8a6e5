/** The test outbox keeps the promises that every outbox makes. */
import { describe, it } from "vitest"
import { outboxConformance } from "../../packages/outbox-event-bus/src/testing.ts"
import type { DynamoDBAwsSdkTransactionCollector, TransactWriteItem } from "../index.ts"
import { TestOutbox } from "../testing.ts"

describe("the test outbox", { concurrent: true }, () => {
  const cases = outboxConformance<DynamoDBAwsSdkTransactionCollector>({
    openStore: () => {
      let outbox: TestOutbox
      return {
        createOutbox: ({ maxRetries }) => {
          outbox = new TestOutbox({ maxRetries })
          return outbox
        },
        begin: () => {
          const items: TransactWriteItem[] = []
          return {
            transaction: { items, push: (item) => void items.push(item) },
            commit: () => outbox.commit(items),
            rollback: async () => {},
          }
        },
      }
    },
    capabilities: {
      handlerRuns: "maxRetries",
      order: "occurrence",
      refusesDuplicates: true,
      delaysFutureEvents: true,
      transactions: true,
    },
    payloads: [12345678901234567890n, new Uint8Array([0, 1, 255]), new Set(["a", "b"])],
  })
  for (const { name, run } of cases) it(name, run)
})
