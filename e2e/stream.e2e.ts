/** The handler for the table's stream: what it delivers, what it leaves to the sweeper, what it reports as failed. */
import { setTimeout as delay } from "node:timers/promises"
import type { DynamoDBStreamEvent } from "aws-lambda"
import type { BusEvent, OutboxError } from "outbox-event-bus"
import { expect, onTestFinished, test } from "vitest"
import { createStreamHandler } from "../src/lambda.ts"
import { someEvent, someEvents } from "./fixture/events.ts"
import { readStream } from "./fixture/stream.ts"
import { createTable, newClient, type TestTable } from "./fixture/table.ts"
import { closedGate, until } from "./fixture/until.ts"
import { connectionLost, intercept, recordRequests } from "./fixture/wire.ts"
import { type OutboxOptions, outboxOn } from "./fixture/worker.ts"

const NONE = { batchItemFailures: [] }

/** An invocation that has time: as much as `ms`, from now on. */
function invocation(ms = 30_000) {
  const end = Date.now() + ms
  return { getRemainingTimeInMillis: () => end - Date.now() }
}

function consumer(
  table: TestTable,
  options: OutboxOptions & { handler?: (event: BusEvent) => unknown } = {},
) {
  const { handler, ...outboxOptions } = options
  const outbox = outboxOn(table, { polling: false, concurrency: 5, ...outboxOptions })
  const delivered: string[] = []
  const errors: OutboxError[] = []
  outbox.start(
    async (event) => {
      delivered.push(event.id)
      await handler?.(event)
    },
    (error) => void errors.push(error),
  )
  onTestFinished(() => outbox.stop())
  return { outbox, handle: createStreamHandler(outbox), delivered, errors }
}

const sequenceNumberOf = ({ Records: records }: DynamoDBStreamEvent, id: string) =>
  records.find(({ dynamodb }) => dynamodb?.Keys?.id?.S === id)?.dynamodb?.SequenceNumber

const ids = (count: number) => someEvents(count).map(({ id }) => id)

test.each(["NEW_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"] as const)(
  "delivers new events from a stream of %s, each once",
  async (stream) => {
    const table = await createTable({ stream })
    const client = newClient()
    const requests = recordRequests(client)
    const { handle, delivered } = consumer(table, { client })
    await outboxOn(table).publish(someEvents(20))
    expect(await handle(await readStream(table.tableName), invocation())).toEqual(NONE)
    expect(delivered.toSorted()).toEqual(ids(20).toSorted())
    const items = await table.all()
    expect(items.every(({ status }) => status === "completed")).toBe(true)
    expect(requests.map(({ step }) => step).toSorted()).toEqual([
      ...Array(20).fill("claim"),
      ...Array(20).fill("complete"),
    ])
  },
)

test("a record that fails in mid-batch is retried by the sweeper; it is no batch failure, and holds up nobody", async () => {
  const table = await createTable({ stream: "NEW_IMAGE" })
  let isBroken = true
  const { outbox, handle, delivered, errors } = consumer(table, {
    handler: ({ id }) => {
      if (id === "event-2" && isBroken) throw new Error("not now")
    },
  })
  await outboxOn(table).publish(someEvents(5))
  expect(await handle(await readStream(table.tableName), invocation())).toEqual(NONE)
  expect(delivered.toSorted()).toEqual(ids(5))
  expect(errors).toHaveLength(1)
  expect(await table.read("event-2")).toMatchObject({ status: "created", retryCount: 1 })
  isBroken = false
  await until("the sweeper has it", async () => (await outbox.drain()).delivered === 1)
  expect(delivered.filter((id) => id === "event-2")).toHaveLength(2)
})

test("a record that comes twice is delivered once: within a batch, after it, and beside it", async () => {
  const table = await createTable({ stream: "NEW_IMAGE" })
  const { handle, delivered } = consumer(table)
  const other = consumer(table)
  await outboxOn(table).publish(someEvents(10))
  const batch = await readStream(table.tableName)
  const twice = { Records: [...batch.Records, ...batch.Records] }
  expect(await Promise.all([handle(twice, invocation()), other.handle(batch, invocation())])).toEqual([
    NONE,
    NONE,
  ])
  expect(await handle(batch, invocation())).toEqual(NONE)
  expect([...delivered, ...other.delivered].toSorted()).toEqual(ids(10))
})

test("events that a sweeper has delivered, that somebody has deleted, or that are claimed, are left alone", async () => {
  const table = await createTable({ stream: "NEW_IMAGE" })
  const { outbox, handle, delivered } = consumer(table)
  await outboxOn(table).publish([someEvent({ id: "swept" }), someEvent({ id: "deleted" })])
  await table.delete("deleted")
  await outbox.drain()
  await outboxOn(table).publish([someEvent({ id: "claimed" })])
  await table.set("claimed", { status: "active", gsiSortKey: Date.now() + 60_000, claimToken: "another's" })
  expect(await handle(await readStream(table.tableName), invocation())).toEqual(NONE)
  expect(delivered).toEqual(["swept"])
})

test("an invocation that is cut off loses nothing: what has not started stays due, what ran is recovered", async () => {
  const table = await createTable({ stream: "NEW_IMAGE" })
  const gate = closedGate()
  const { handle, delivered } = consumer(table, {
    concurrency: 1,
    processingTimeoutMs: 1500,
    handler: () => gate.passed,
  })
  await outboxOn(table).publish(someEvents(6))
  expect(await handle(await readStream(table.tableName), invocation(1000))).toEqual(NONE)
  expect(delivered).toHaveLength(1)
  const left = await table.all()
  expect(left.filter(({ status }) => status === "created")).toHaveLength(5)
  expect(left.filter(({ status }) => status === "active")).toHaveLength(1)

  const sweeper = consumer(table, { processingTimeoutMs: 1500 })
  await until("all is delivered", async () => {
    await sweeper.outbox.drain()
    return (await table.all()).every(({ status }) => status === "completed")
  })
  expect(sweeper.delivered.toSorted()).toEqual(ids(6))
  gate.open()
})

test("DynamoDB does not carry out claims: the first by sequence number is a batch failure, the others are delivered", async () => {
  const table = await createTable({ stream: "NEW_IMAGE" })
  const client = newClient({ maxAttempts: 1 })
  let isBroken = true
  intercept(client, async (request, send) => {
    if (isBroken && request.step === "claim" && ["event-3", "event-6"].includes(request.id as string)) {
      throw connectionLost()
    }
    return send()
  })
  const { handle, delivered } = consumer(table, { client })
  await outboxOn(table).publish(someEvents(8))
  const batch = await readStream(table.tableName)
  const failed = [sequenceNumberOf(batch, "event-3"), sequenceNumberOf(batch, "event-6")] as string[]
  const [first] = failed.toSorted((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1))
  expect(await handle(batch, invocation())).toEqual({ batchItemFailures: [{ itemIdentifier: first }] })
  expect(delivered).toHaveLength(6)
  isBroken = false
  expect(await handle(batch, invocation())).toEqual(NONE)
  expect(delivered.toSorted()).toEqual(ids(8))
})

test("with DynamoDB away, the whole batch is a failure, which is reported", async () => {
  const table = await createTable({ stream: "NEW_IMAGE" })
  const client = newClient({ maxAttempts: 1 })
  intercept(client, async () => {
    throw connectionLost()
  })
  const { handle, delivered, errors } = consumer(table, { client })
  await outboxOn(table).publish(someEvents(100))
  const batch = await readStream(table.tableName)
  const itemIdentifier = batch.Records[0]?.dynamodb?.SequenceNumber
  expect(await handle(batch, invocation())).toEqual({ batchItemFailures: [{ itemIdentifier }] })
  expect(delivered).toEqual([])
  expect(errors[0]?.message).toMatch(/^Could not deliver: no event can be claimed in table "outbox-/)
})

test("what is not due yet, and what is no new event, is left alone without a request", async () => {
  const table = await createTable({ stream: "NEW_IMAGE" })
  const client = newClient()
  const requests = recordRequests(client)
  const { handle } = consumer(table, { client })
  const tomorrow = new Date(Date.now() + 86_400_000)
  await outboxOn(table).publish([
    someEvent({ id: "later", occurredAt: tomorrow }),
    someEvent({ id: "changed" }),
  ])
  await table.set("changed", { status: "completed" })
  await table.put({ id: "of another kind" })
  const batch = await readStream(table.tableName)
  const changes = {
    Records: batch.Records.filter(
      ({ eventName, dynamodb }) => eventName !== "INSERT" || dynamodb?.Keys?.id?.S !== "changed",
    ),
  }
  expect(changes.Records.length).toBeGreaterThanOrEqual(3)
  expect(await handle(changes, invocation())).toEqual(NONE)
  expect(requests).toEqual([])
})

test("events that can't be read become dead letters, and a handler that takes its time is waited for", async () => {
  const table = await createTable({ stream: "KEYS_ONLY" })
  const { handle, delivered, errors } = consumer(table, { handler: () => delay(50) })
  await outboxOn(table).publish([someEvent({ id: "fine" })])
  await table.put({ id: "broken", status: "created", retryCount: 0, gsiSortKey: 1, occurredAt: "yesterday" })
  expect(await handle(await readStream(table.tableName), invocation())).toEqual(NONE)
  expect(delivered).toEqual(["fine"])
  expect(errors).toHaveLength(1)
  expect(await table.read("broken")).toMatchObject({ status: "failed" })
})

test("a record of another table is refused by its stream's name", async () => {
  const { handle } = consumer(await createTable())
  const record = {
    eventName: "INSERT",
    eventSourceARN: "arn:orders",
    dynamodb: { Keys: { pk: { S: "a" } } },
  } as const
  await expect(handle({ Records: [record] }, invocation())).rejects.toThrow(
    'A record of the stream "arn:orders" has no string key "id", so it is not from an outbox table.',
  )
})
