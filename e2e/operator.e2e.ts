/** What operators see of an outbox and do to it, beside relays at work. */
import { CreateTableCommand, DescribeTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { ConfigurationError, type OutboxError } from "outbox-event-bus"
import { expect, onTestFinished, test } from "vitest"
import { createOutboxTable, OutboxOperator, type OutboxOperatorConfig } from "../src/operations.ts"
import { originalItem, someEvent } from "./fixture/events.ts"
import { createTable, endpoint, newClient, TestTable } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { recordRequests } from "./fixture/wire.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

function operatorOn(table: TestTable, more: Partial<OutboxOperatorConfig> = {}): OutboxOperator {
  return new OutboxOperator({ client: newClient(), tableName: table.tableName, ...more })
}

/** Dead letters of three kinds, a minute apart. */
async function putDeadLetters(table: TestTable, count: number): Promise<void> {
  const start = Date.parse("2026-01-01T00:00:00Z")
  await Promise.all(
    Array.from({ length: count }, (_, i) => {
      const occurredAt = new Date(start + i * 60_000)
      return table.put({
        id: `dead-${i}`,
        type: i % 3 === 2 ? "order.paid" : "order.placed",
        payload: { i },
        occurredAt: occurredAt.toISOString(),
        status: "failed",
        retryCount: 5,
        lastError: i % 3 === 1 ? `carrier responded ${500 + i}` : `no article "${i}"`,
        claimToken: "t",
        startedOn: start,
        gsiSortKey: occurredAt.getTime(),
      })
    }),
  )
}

test.each(["ALL", "KEYS_ONLY"] as const)(
  "lists all dead letters, the newest first, with an index of %s",
  async (projection) => {
    const table = await createTable({ projection })
    await putDeadLetters(table, 250)
    const ids: string[] = []
    for await (const { id, payload } of operatorOn(table).deadLetters()) {
      ids.push(id)
      expect(payload).toEqual({ i: Number(id.slice(5)) })
    }
    expect(ids).toEqual(Array.from({ length: 250 }, (_, i) => `dead-${249 - i}`))
  },
)

test("counts them by type and kind of error, and finds those that fit", async () => {
  const table = await createTable({ projection: "KEYS_ONLY" })
  await putDeadLetters(table, 30)
  const operator = operatorOn(table)
  expect(await operator.countDeadLetters()).toMatchObject([
    { type: "order.paid", errorKind: "no article <value>", count: 10, exampleId: "dead-29" },
    { type: "order.placed", errorKind: "carrier responded <n>", count: 10 },
    { type: "order.placed", errorKind: "no article <value>", count: 10 },
  ])
  const found = []
  const filter = { errorKind: "carrier responded <n>", occurredBefore: new Date("2026-01-01T00:10:00Z") }
  for await (const { id } of operator.deadLetters(filter)) found.push(id)
  expect(found).toEqual(["dead-7", "dead-4", "dead-1"])
})

test("retries one kind and discards another, with progress, and leaves the rest", async () => {
  const table = await createTable({ projection: "KEYS_ONLY" })
  await putDeadLetters(table, 90)
  const operator = operatorOn(table)
  const seen: number[] = []
  const kind = { type: "order.placed", errorKind: "carrier responded <n>" }
  const retried = await operator.retry(kind, { onProgress: ({ done }) => seen.push(done) })
  expect(retried).toEqual({ retried: 30, skipped: 0 })
  expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1))
  expect(await operator.discard({ type: "order.paid" }, { reason: "shop closed" })).toEqual({
    discarded: 30,
    skipped: 0,
  })
  expect(await table.read("dead-1")).toMatchObject({ status: "created", retryCount: 0 })
  const discarded = await table.read("dead-2")
  expect(discarded).toMatchObject({
    status: "completed",
    discardReason: "shop closed",
    lastError: 'no article "2"',
  })
  expect(discarded).not.toHaveProperty("gsiSortKey")
  expect(await operator.countDeadLetters()).toMatchObject([{ errorKind: "no article <value>", count: 30 }])
})

test("ids that are no dead letters any more are skipped", async () => {
  const table = await createTable()
  await putDeadLetters(table, 3)
  await outboxOn(table).publish([someEvent({ id: "waiting" })])
  const operator = operatorOn(table)
  expect(await operator.retry(["dead-0", "dead-0", "waiting", "unknown"])).toEqual({ retried: 1, skipped: 2 })
  expect(await operator.discard(["dead-0", "waiting"], { reason: "x" })).toEqual({ discarded: 0, skipped: 2 })
  expect(await table.read("unknown")).toBeUndefined()
  await expect(operator.discard(["dead-1"], { reason: " " })).rejects.toThrow("Invalid reason")
  await expect(operator.retry({ types: "order.placed" } as never)).rejects.toThrow("Invalid filter.types")
  expect((await operator.countDeadLetters()).reduce((sum, { count }) => sum + count, 0)).toBe(2)
})

test("what becomes of delivered events becomes of discarded ones", async () => {
  const table = await createTable()
  await putDeadLetters(table, 2)
  const expiring = operatorOn(table, { completedEvents: { expireAfterDays: 1 } })
  await expiring.discard(["dead-0"], { reason: "obsolete" })
  expect((await table.read("dead-0"))?.expiresAt).toBeGreaterThan(Date.now() / 1000)
  await operatorOn(table, { completedEvents: "delete" }).discard(["dead-1"], { reason: "obsolete" })
  expect(await table.read("dead-1")).toBeUndefined()
})

test("repairs what the original has hidden, and purges what was completed before a time", async () => {
  const table = await createTable()
  const hidden = originalItem({ id: "hidden", status: "failed", retryCount: 5, lastError: "no" })
  delete hidden.gsiSortKey
  await table.put(hidden)
  await putDeadLetters(table, 1)
  await table.put({ ...originalItem({ id: "old", status: "completed", completedOn: 1000 }) })
  await table.put({ ...originalItem({ id: "recent", status: "completed", completedOn: Date.now() }) })
  const operator = operatorOn(table)
  expect(await operator.repair()).toEqual({ repaired: 1, skipped: 0 })
  expect(await operator.repair()).toEqual({ repaired: 0, skipped: 0 })
  const ids = []
  for await (const { id } of operator.deadLetters()) ids.push(id)
  expect(ids).toEqual(["hidden", "dead-0"])
  expect(await operator.purge(new Date(Date.now() - 60_000))).toEqual({ purged: 1, skipped: 0 })
  expect((await table.all()).map(({ id }) => id).toSorted()).toEqual(["dead-0", "hidden", "recent"])
})

test("shows the backlog: what is due and for how long, what is under way, what is stuck", async () => {
  const table = await createTable({ projection: "KEYS_ONLY" })
  const operator = operatorOn(table)
  const none = { count: 0, isCapped: false }
  const empty = await operator.getBacklog()
  expect(empty).toMatchObject({ due: none, active: none, overdue: none, failed: none })
  expect(empty).not.toHaveProperty("dueForMs")

  await putDeadLetters(table, 4)
  const now = Date.now()
  await table.put(
    originalItem({
      id: "retried",
      gsiSortKey: now - 60_000,
      occurredAt: new Date(now - 3_600_000).toISOString(),
    }),
  )
  await table.put(originalItem({ id: "new", gsiSortKey: now - 1000 }))
  await table.put(originalItem({ id: "later", gsiSortKey: now + 3_600_000 }))
  await table.put(originalItem({ id: "running", status: "active", gsiSortKey: now + 60_000 }))
  await table.put(originalItem({ id: "stuck", status: "active", gsiSortKey: now - 60_000 }))
  const backlog = await operator.getBacklog({ countUpTo: 3 })
  expect(backlog).toMatchObject({
    due: { count: 2, isCapped: false },
    active: { count: 2, isCapped: false },
    overdue: { count: 1, isCapped: false },
    failed: { count: 3, isCapped: true },
  })
  expect(backlog.dueForMs).toBeGreaterThanOrEqual(60_000)
  expect(backlog.dueForMs).toBeLessThan(120_000)
  expect(backlog.occurredAgoMs).toBeGreaterThanOrEqual(3_600_000)
  await expect(operator.getBacklog({ countUpTo: 0 })).rejects.toThrow("Invalid countUpTo")
})

test("shows one event with all that is stored", async () => {
  const table = await createTable()
  await putDeadLetters(table, 1)
  expect(await operatorOn(table).find("dead-0")).toMatchObject({
    id: "dead-0",
    status: "failed",
    payload: { i: 0 },
    retryCount: 5,
  })
  expect(await operatorOn(table).find("unknown")).toBeUndefined()
})

test("makes a table that an outbox works with, and finds no fault in it", async () => {
  const client = newClient()
  const table = new TestTable(`operated-${Date.now()}`)
  await createOutboxTable(client, {
    tableName: table.tableName,
    pointInTimeRecovery: false,
    stream: "NEW_IMAGE",
  })
  const worker = startWorker(table, { client })
  await outboxOn(table).publish([someEvent({ id: "e1" })])
  await until("it is delivered", () => worker.deliveredIds.length === 1)
  const findings = await operatorOn(table).checkTable()
  expect(findings.filter(({ severity }) => severity === "error")).toEqual([])
  expect(findings.map(({ code }) => code)).toContain("stream")
  const { Table } = await client.send(new DescribeTableCommand({ TableName: table.tableName }))
  expect(Table?.GlobalSecondaryIndexes?.[0]?.Projection?.ProjectionType).toBe("KEYS_ONLY")
})

test("finds a missing table and one of another kind", async () => {
  const missing = new OutboxOperator({ client: newClient(), tableName: "missing-table" })
  expect(await missing.checkTable()).toMatchObject([{ severity: "error", code: "table-missing" }])
  const client = newClient()
  const TableName = `orders-${Date.now()}`
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
      KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
    }),
  )
  const findings = await new OutboxOperator({ client, tableName: TableName }).checkTable()
  expect(findings.map(({ code }) => code)).toEqual(expect.arrayContaining(["wrong-key", "index-missing"]))
})

test.each<[string, { tableName?: string; statusIndexName?: string }, RegExp]>([
  [
    "table",
    { tableName: "no-such-table" },
    /^There is no table "no-such-table" in this account and region\. To fix it: /,
  ],
  [
    "index",
    { statusIndexName: "by-status" },
    /^Table ".*" has no index "by-status"; it has "status-gsiSortKey-index"\. /,
  ],
])("a worker with a wrong %s says so once, and describes the table once", async (_, wrong, message) => {
  const table = await createTable()
  const client = newClient()
  const described: string[] = []
  client.middlewareStack.add(
    (next, context) => async (args) => {
      if (context.commandName === "DescribeTableCommand") described.push(context.commandName)
      return next(args)
    },
    { step: "initialize" },
  )
  const errors: OutboxError[] = []
  const requests = recordRequests(client)
  const outbox = outboxOn(table, { client, ...wrong })
  outbox.start(
    async () => {},
    (error) => void errors.push(error),
  )
  onTestFinished(() => outbox.stop())
  await until("it has polled for a while", () => requests.filter(({ step }) => step === "query").length > 10)
  expect(described).toHaveLength(1)
  expect(errors).toHaveLength(1)
  const [error] = errors
  const reason = error instanceof ConfigurationError ? error : error?.cause
  expect(reason).toBeInstanceOf(ConfigurationError)
  expect((reason as Error).message).toMatch(message)
})

test("a worker whose database is away goes on reporting that", async () => {
  const client = new DynamoDBClient({
    endpoint: "http://127.0.0.1:1",
    region: "local",
    credentials: { accessKeyId: "a", secretAccessKey: "b" },
    maxAttempts: 1,
  })
  const worker = startWorker(new TestTable("any-table"), { client })
  await until(
    "it has reported three polls",
    () => worker.errors.filter(({ message }) => message === "Polling cycle failed").length >= 3,
  )
  expect(endpoint()).not.toBe("http://127.0.0.1:1")
})
