/**
 * Writes that were carried out although their response got lost: once, so that the SDK sends them again, and for good, so that the
 * outbox sees an error. Nothing is lost, and nothing is delivered twice or counted twice.
 */
import { expect, test } from "vitest"
import { someEvent, stuckOriginalItem } from "./fixture/events.ts"
import { createTable, newClient } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { connectionLost, intercept, loseAnswers } from "./fixture/wire.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

const ONCE = 1
/** As many answers as the SDK makes attempts. */
const FOR_GOOD = 3
const attemptingThrice = () => newClient({ maxAttempts: FOR_GOOD })

test("publish, once: the SDK's second attempt is not taken for a second publish", async () => {
  const table = await createTable()
  const client = attemptingThrice()
  const answers = loseAnswers(client, "publish", ONCE)
  await outboxOn(table, { client }).publish([someEvent({ id: "a" }), someEvent({ id: "b" })])
  expect(answers.lost).toBe(ONCE)
  expect((await table.all()).map(({ id }) => id).toSorted()).toEqual(["a", "b"])
})

test("publish, for good: it rejects, but the event is there and is delivered once; publishing it again is refused", async () => {
  const table = await createTable()
  const client = attemptingThrice()
  const answers = loseAnswers(client, "publish", FOR_GOOD)
  const outbox = outboxOn(table, { client })
  const event = someEvent({ id: "there" })
  await expect(outbox.publish([event])).rejects.toThrow("socket hang up")
  expect(answers.lost).toBe(FOR_GOOD)
  await expect(outbox.publish([event])).rejects.toThrow(/already: there\./)
  const worker = startWorker(table)
  await until("it is completed", async () => (await table.read("there"))?.status === "completed")
  expect(worker.deliveredIds).toEqual(["there"])
})

test("claim, once: it is recognised as won, and the handler runs once", async () => {
  const table = await createTable()
  const client = attemptingThrice()
  const answers = loseAnswers(client, "claim", ONCE)
  const worker = startWorker(table, { client })
  await worker.outbox.publish([someEvent({ id: "claimed" })])
  const item = await until("it is completed", async () => {
    const read = await table.read("claimed")
    return read?.status === "completed" && read
  })
  expect(answers.lost).toBe(ONCE)
  expect(item.retryCount).toBe(0)
  expect(worker.deliveredIds).toEqual(["claimed"])
  expect(worker.errors).toEqual([])
})

test("claim, for good: it is released without being counted, and delivered by a later poll", async () => {
  const table = await createTable()
  const client = attemptingThrice()
  const answers = loseAnswers(client, "claim", FOR_GOOD)
  const worker = startWorker(table, { client })
  await worker.outbox.publish([someEvent({ id: "claimed" })])
  const item = await until("it is completed", async () => {
    const read = await table.read("claimed")
    return read?.status === "completed" && read
  })
  expect(answers.lost).toBe(FOR_GOOD)
  expect(item.retryCount).toBe(0)
  expect(worker.deliveredIds).toEqual(["claimed"])
  expect(worker.errors.map(({ message }) => message)).toEqual(["Polling cycle failed"])
  expect(worker.errors[0]?.cause).toMatchObject({ message: "socket hang up" })
})

test.each([
  ["once", ONCE],
  ["for good", FOR_GOOD],
])("fail, %s: the attempt is counted once", async (_name, times) => {
  const table = await createTable()
  const client = attemptingThrice()
  const answers = loseAnswers(client, "fail", times)
  const worker = startWorker(table, {
    client,
    baseBackoffMs: 3_600_000,
    handler: () => Promise.reject(new Error("no")),
  })
  await worker.outbox.publish([someEvent({ id: "failing" })])
  await until("the attempt is reported", () => worker.errors.some(({ name }) => name === "HandlerError"))
  await worker.outbox.stop()
  expect(answers.lost).toBe(times)
  expect(await table.read("failing")).toMatchObject({ status: "created", retryCount: 1, lastError: "no" })
  expect(worker.errors.filter(({ name }) => name === "HandlerError")).toHaveLength(1)
  expect(worker.errors.filter(({ name }) => name === "OperationalError")).toHaveLength(times === ONCE ? 0 : 1)
})

test.each([
  ["once", ONCE],
  ["for good", FOR_GOOD],
])("recover, %s: the attempt is counted once, and reported once", async (_name, times) => {
  const table = await createTable()
  await table.put(stuckOriginalItem({ id: "stuck" }))
  const client = attemptingThrice()
  const answers = loseAnswers(client, "recover", times)
  const worker = startWorker(table, { client, baseBackoffMs: 3_600_000, processingTimeoutMs: 200 })
  await until("the answer was lost", () => answers.lost === times)
  await until("the recovery, or its trouble, is reported", () => worker.errors.length > 0)
  await worker.outbox.stop()
  expect(await table.read("stuck")).toMatchObject({ status: "created", retryCount: 1 })
  expect(worker.errors.map(({ name }) => name)).toEqual([
    times === ONCE ? "HandlerError" : "MaintenanceError",
  ])
})

test("fail, once, of the last attempt: it is reported as the last", async () => {
  const table = await createTable()
  const client = attemptingThrice()
  const answers = loseAnswers(client, "fail", ONCE)
  const worker = startWorker(table, {
    client,
    maxRetries: 1,
    handler: () => Promise.reject(new Error("no")),
  })
  await worker.outbox.publish([someEvent({ id: "failing" })])
  await until("it is reported", () => worker.errors.length > 0)
  expect(answers.lost).toBe(ONCE)
  expect(worker.errors.map(({ name }) => name)).toEqual(["MaxRetriesExceededError"])
})

test("fail, always: the handler still runs maxRetries times, no more", async () => {
  const table = await createTable()
  const client = newClient({ maxAttempts: 1 })
  loseAnswers(client, "fail", Number.POSITIVE_INFINITY)
  const worker = startWorker(table, {
    client,
    maxRetries: 3,
    processingTimeoutMs: 200,
    handler: () => Promise.reject(new Error("no")),
  })
  await worker.outbox.publish([someEvent({ id: "failing" })])
  await until("it is a dead letter", async () => (await table.read("failing"))?.status === "failed")
  await worker.outbox.stop()
  expect(worker.delivered).toHaveLength(3)
  expect(await outboxOn(table).getFailedEvents()).toMatchObject([{ id: "failing", retryCount: 3 }])
})

test.each([
  ["once", ONCE],
  ["for good", FOR_GOOD],
])("complete, %s: it is delivered once", async (_name, times) => {
  const table = await createTable()
  const client = attemptingThrice()
  const answers = loseAnswers(client, "complete", times)
  const worker = startWorker(table, { client })
  await worker.outbox.publish([someEvent({ id: "done" })])
  await until("the answer was lost", () => answers.lost === times)
  await worker.outbox.stop()
  expect(await table.read("done")).toMatchObject({ status: "completed" })
  expect(worker.deliveredIds).toEqual(["done"])
  expect(worker.errors).toHaveLength(times === ONCE ? 0 : 1)
})

test("a complete that does not arrive is sent until it does: the event is not delivered again", async () => {
  const table = await createTable()
  const client = newClient({ maxAttempts: 1 })
  let refused = 0
  intercept(client, ({ step }, send) => {
    if (step !== "complete" || ++refused > 4) return send()
    throw connectionLost()
  })
  const worker = startWorker(table, { client })
  await worker.outbox.publish([someEvent({ id: "done" })])
  await until("it is completed", async () => (await table.read("done"))?.status === "completed")
  await worker.outbox.stop()
  expect(worker.deliveredIds).toEqual(["done"])
  expect(worker.errors.map(({ message }) => message)).toEqual(['Could not settle event "done"'])
})

test.each([
  ["once", ONCE],
  ["for good", FOR_GOOD],
])("retryEvents, %s: the event is set back, and an error names it", async (_name, times) => {
  const table = await createTable()
  const { occurredAt, ...event } = someEvent({ id: "dead" })
  await table.put({
    ...event,
    occurredAt: occurredAt.toISOString(),
    status: "failed",
    retryCount: 5,
    gsiSortKey: 1,
  })
  const client = attemptingThrice()
  loseAnswers(client, "retry", times)
  const retried = outboxOn(table, { client }).retryEvents(["dead"])
  if (times === ONCE) await retried
  else await expect(retried).rejects.toThrow("Could not retry the events dead")
  const worker = startWorker(table)
  await until("it is completed", async () => (await table.read("dead"))?.status === "completed")
  expect(worker.deliveredIds).toEqual(["dead"])
})

test("renewal, always lost: the handler keeps its event as long as its lease lasts, and settles it", async () => {
  const table = await createTable()
  const client = newClient({ maxAttempts: 1 })
  const answers = loseAnswers(client, "renew", Number.POSITIVE_INFINITY)
  const worker = startWorker(table, {
    client,
    processingTimeoutMs: 400,
    maxRetries: 1,
    handler: () =>
      until("a renewal was lost", () => answers.lost > 0).then(() => Promise.reject(new Error("no"))),
  })
  await worker.outbox.publish([someEvent({ id: "renewed" })])
  await until("its failure is written", async () => (await table.read("renewed"))?.status === "failed")
  expect(await table.read("renewed")).toMatchObject({ retryCount: 1, lastError: "no" })
  expect(worker.delivered).toHaveLength(1)
})
