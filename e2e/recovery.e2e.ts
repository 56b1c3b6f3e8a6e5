/** Events whose worker is gone: their lease ends, which counts as a failed attempt. With either kind of index. */
import { HandlerError, MaxRetriesExceededError } from "outbox-event-bus"
import { describe, expect, test } from "vitest"
import { someEvent, stuckOriginalItem } from "./fixture/events.ts"
import { createTable, type Projection } from "./fixture/table.ts"
import { closedGate, until } from "./fixture/until.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

describe.each<Projection>(["ALL", "KEYS_ONLY"])("index %s", (projection) => {
  test("an expired lease counts as an attempt, is reported with its event, and the event is delivered", async () => {
    const table = await createTable({ projection })
    await table.put(stuckOriginalItem({ id: "stuck", payload: { n: 1 }, retryCount: 1 }))
    let item: unknown
    const worker = startWorker(table, {
      handler: async ({ id }) => {
        item = await table.read(id)
      },
    })
    await until("it is completed", async () => (await table.read("stuck"))?.status === "completed")
    expect(item).toMatchObject({ status: "active", retryCount: 2, lastError: "Processing timeout" })
    expect(worker.errors).toHaveLength(1)
    expect(worker.errors[0]).toBeInstanceOf(HandlerError)
    expect(worker.errors[0]).toMatchObject({
      event: { id: "stuck", payload: { n: 1 } },
      cause: { message: "Processing timeout" },
    })
  })

  test("the last attempt that ends so makes a dead letter", async () => {
    const table = await createTable({ projection })
    await table.put(stuckOriginalItem({ id: "stuck", retryCount: 4 }))
    const worker = startWorker(table, { maxRetries: 5 })
    await until("it is reported", () => worker.errors.length === 1)
    expect(worker.errors[0]).toBeInstanceOf(MaxRetriesExceededError)
    expect(worker.errors[0]).toMatchObject({ event: { id: "stuck" }, retryCount: 5 })
    expect(await worker.outbox.getFailedEvents()).toMatchObject([
      { id: "stuck", error: "Processing timeout", retryCount: 5, lastAttemptAt: expect.any(Date) },
    ])
    expect(worker.delivered).toEqual([])
  })

  test("two workers recover many, page by page, and count each once", async () => {
    const table = await createTable({ projection })
    const ids = Array.from({ length: 35 }, (_, i) => `stuck-${i}`)
    await Promise.all(ids.map((id) => table.put(stuckOriginalItem({ id }))))
    const workers = [1, 2].map(() => startWorker(table, { batchSize: 10, baseBackoffMs: 3_600_000 }))
    await until("all are recovered", async () =>
      (await table.all()).every(({ status }) => status === "created"),
    )
    await Promise.all(workers.map(({ outbox }) => outbox.stop()))
    expect((await table.all()).map(({ retryCount }) => retryCount)).toEqual(ids.map(() => 1))
    const reported = workers.flatMap(({ errors }) => errors).map((error) => (error as HandlerError).event.id)
    expect(reported.toSorted()).toEqual(ids.toSorted())
  })
})

test("a handler that outlasts its lease: another worker delivers the event, and the late success is kept", async () => {
  const table = await createTable()
  const gate = closedGate()
  const slow = startWorker(table, { processingTimeoutMs: 150, handler: () => gate.passed })
  await slow.outbox.publish([someEvent({ id: "slow" })])
  await until("its handler runs", () => slow.delivered.length === 1)
  const other = startWorker(table, { processingTimeoutMs: 2000, baseBackoffMs: 3_600_000 })
  await until("somebody has recovered it", async () => (await table.read("slow"))?.retryCount === 1)
  gate.open()
  const item = await until("the success is kept", async () => {
    const read = await table.read("slow")
    return read?.status === "completed" && read
  })
  expect(item.retryCount).toBe(1)
  expect(other.delivered).toEqual([])
})

test("a handler that takes longer than half its lease keeps its claim", async () => {
  const table = await createTable()
  const gate = closedGate()
  const worker = startWorker(table, { processingTimeoutMs: 2000, handler: () => gate.passed })
  await worker.outbox.publish([someEvent({ id: "long" })])
  const first = await until("it is claimed", async () => {
    const item = await table.read("long")
    return item?.status === "active" && item
  })
  await until(
    "its lease is renewed, once",
    async () => (await table.read("long"))?.gsiSortKey > first.gsiSortKey,
  )
  gate.open()
  await until("it is completed", async () => (await table.read("long"))?.status === "completed")
  expect(worker.delivered).toHaveLength(1)
  expect(worker.errors).toEqual([])
})

/** A worker whose only handler is held up by a gate, and an event that waits behind it, claimed. */
async function eventBehindLongHandler(processingTimeoutMs: number) {
  const table = await createTable()
  const gate = closedGate()
  const worker = startWorker(table, {
    processingTimeoutMs,
    maxRetries: Number.POSITIVE_INFINITY,
    handler: ({ id }) => (id === "long" ? gate.passed : undefined),
  })
  await worker.outbox.publish([
    someEvent({ id: "long", occurredAt: new Date(Date.now() - 2000) }),
    someEvent({ id: "waits", occurredAt: new Date(Date.now() - 1000) }),
  ])
  const claimed = await until("it is claimed ahead", async () => {
    const item = await table.read("waits")
    return item?.status === "active" && item
  })
  return { table, gate, worker, claimed }
}

test("an event that waits behind a long handler keeps its claim while that is within its time", async () => {
  const { table, gate, worker, claimed } = await eventBehindLongHandler(4000)
  await until("its lease is renewed", async () => {
    const item = await table.read("waits")
    return item !== undefined && item.gsiSortKey > claimed.gsiSortKey
  })
  expect(await table.read("waits")).toMatchObject({ retryCount: 0, claimToken: claimed.claimToken })
  gate.open()
  await until("it is delivered", () => worker.deliveredIds.includes("waits"))
  expect(worker.errors).toEqual([])
})

test("an event that waits behind a handler that has exceeded its timeout is released, and another worker has it", async () => {
  const { table, gate, worker } = await eventBehindLongHandler(300)
  const other = startWorker(table, {
    processingTimeoutMs: 300,
    concurrency: 2,
    handler: ({ id }) => (id === "long" ? gate.passed : undefined),
  })
  await until("the other has delivered it", () => other.deliveredIds.includes("waits"))
  expect(await table.read("waits")).toMatchObject({ retryCount: 0 })
  expect(worker.deliveredIds).not.toContain("waits")
  gate.open()
})

test("what was published while no worker ran is delivered by the first that starts", async () => {
  const table = await createTable()
  const outbox = outboxOn(table)
  await outbox.publish([someEvent({ id: "early" })])
  const worker = startWorker(table)
  await until("it is delivered", () => worker.deliveredIds.includes("early"))
})
