/** Items of somebody else in the table, and a table that can't be an outbox: nothing is written on them, and they stop nobody. */
import { CreateTableCommand } from "@aws-sdk/client-dynamodb"
import { ConfigurationError, type OutboxError } from "outbox-event-bus"
import { describe, expect, test } from "vitest"
import { someEvents } from "./fixture/events.ts"
import { createTable, newClient, type Projection } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

const foreign = (id: string, status: string) => ({
  id: { S: id },
  status: { S: status },
  gsiSortKey: { N: "1" },
  balance: { N: "100" },
})

describe.each<Projection>(["ALL", "KEYS_ONLY"])("index %s", (projection) => {
  test.each(["created", "active", "failed"])(
    "items with status %s that are no events are left alone",
    async (status) => {
      const table = await createTable({ projection })
      const ids = ["account-1", "account-2", "account-3"]
      for (const id of ids) await table.putRaw(foreign(id, status))
      const before = await table.all()

      const worker = startWorker(table, { processingTimeoutMs: 1000 })
      await worker.outbox.retryEvents(ids)
      await worker.outbox.publish(someEvents(2))
      await until("the events beside them are delivered", () => worker.delivered.length === 2)
      if (status !== "failed") await until("each is reported", () => worker.errors.length === ids.length)
      await worker.outbox.publish(someEvents(4).slice(2))
      await until("later ones, too", () => worker.delivered.length === 4)
      expect(await worker.outbox.getFailedEvents()).toEqual([])
      await worker.outbox.stop()

      const after = (await table.all()).filter(({ id }) => ids.includes(id))
      expect(after).toEqual(expect.arrayContaining(before))
      expect(worker.errors.map(({ name, message }) => `${name}: ${message}`).sort()).toEqual(
        status === "failed"
          ? []
          : ids.map((id) =>
              expect.stringMatching(`^ValidationError: Item "${id}" in table .* is not an event`),
            ),
      )
      expect(JSON.stringify(worker.errors)).not.toContain("100")
    },
  )
})

test.each([
  ["pk and sk", "S", ["pk", "sk"]],
  ["id and a sort key", "S", ["id", "sk"]],
  ["an id that is a number", "N", ["id"]],
] as const)("a table with %s is refused, with what its key must be", async (_, type, keys) => {
  const client = newClient()
  const tableName = `wrong-${keys.join("-")}-${type}`
  await client.send(
    new CreateTableCommand({
      TableName: tableName,
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: [
        ...keys.map((AttributeName) => ({ AttributeName, AttributeType: type })),
        { AttributeName: "status", AttributeType: "S" },
        { AttributeName: "gsiSortKey", AttributeType: "N" },
      ],
      KeySchema: keys.map((AttributeName, i) => ({ AttributeName, KeyType: i === 0 ? "HASH" : "RANGE" })),
      GlobalSecondaryIndexes: [
        {
          IndexName: "status-gsiSortKey-index",
          KeySchema: [
            { AttributeName: "status", KeyType: "HASH" },
            { AttributeName: "gsiSortKey", KeyType: "RANGE" },
          ],
          Projection: { ProjectionType: "KEYS_ONLY" },
        },
      ],
    }),
  )
  const outbox = outboxOn({ tableName } as never, { client })
  const refusal: unknown = await outbox.publish(someEvents(1)).catch((error: OutboxError) => error)
  expect(refusal).toBeInstanceOf(ConfigurationError)
  expect((refusal as Error).message).toContain(
    `Table "${tableName}" can't be an outbox: its primary key must be`,
  )
  await expect(outbox.retryEvents(["event-0"])).rejects.toMatchObject({
    cause: expect.any(ConfigurationError),
  })
})
