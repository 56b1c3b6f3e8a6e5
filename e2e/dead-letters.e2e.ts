/** Retries with backoff, dead letters, and an operator who lists them and sets them back; with either kind of index. */
import { HandlerError, MaxRetriesExceededError } from "outbox-event-bus"
import { describe, expect, test } from "vitest"
import { someEvent, someEvents } from "./fixture/events.ts"
import { createTable, type Projection } from "./fixture/table.ts"
import { closedGate, until } from "./fixture/until.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

describe.each<Projection>(["ALL", "KEYS_ONLY"])("with an index that projects %s", (projection) => {
  test("the handler runs maxRetries times, the last report says so, and the event is listed and re-driven", async () => {
    const table = await createTable({ projection })
    let isMended = false
    let attempts = 0
    const worker = startWorker(table, {
      maxRetries: 3,
      handler: () => {
        if (isMended) return
        throw new Error(`no stock, attempt ${++attempts}`)
      },
    })
    const event = someEvent({ id: "doomed", metadata: { tenant: "t-1" } })
    const before = Date.now()
    await worker.outbox.publish([event])
    await until("the last report has come", () => worker.errors.length === 3)

    expect(worker.delivered).toHaveLength(3)
    expect(worker.errors.map(({ name }) => name)).toEqual([
      "HandlerError",
      "HandlerError",
      "MaxRetriesExceededError",
    ])
    expect(worker.errors[0]).toBeInstanceOf(HandlerError)
    expect(worker.errors[0]).toMatchObject({ event, cause: { message: "no stock, attempt 1" } })
    const last = worker.errors[2] as MaxRetriesExceededError
    expect(last).toBeInstanceOf(MaxRetriesExceededError)
    expect(last.message).toBe("Max retries exceeded (3). Event moved to DLQ.")
    expect(last).toMatchObject({
      event: { id: "doomed" },
      retryCount: 3,
      cause: { message: "no stock, attempt 3" },
    })

    const listed = await outboxOn(table).getFailedEvents()
    expect(listed).toEqual([
      { ...event, error: "no stock, attempt 3", retryCount: 3, lastAttemptAt: expect.any(Date) },
    ])
    expect(listed[0]?.lastAttemptAt?.getTime()).toBeGreaterThanOrEqual(before)

    isMended = true
    await outboxOn(table).retryEvents(["doomed"])
    const item = await until("it is completed", async () => {
      const read = await table.read("doomed")
      return read?.status === "completed" && read
    })
    expect(item.retryCount).toBe(0)
    for (const name of ["lastError", "nextRetryAt", "gsiSortKey"]) expect(item).not.toHaveProperty(name)
    expect(worker.delivered).toHaveLength(4)
    expect(worker.errors).toHaveLength(3)
    expect(await outboxOn(table).getFailedEvents()).toEqual([])
  })

  test("up to 100 dead letters are listed, the newest occurrence first", async () => {
    const table = await createTable({ projection })
    const events = someEvents(104)
    const worker = startWorker(table, {
      maxRetries: 1,
      concurrency: 20,
      handler: () => Promise.reject(new Error("no")),
    })
    await outboxOn(table).publish(events.slice(0, 52))
    await outboxOn(table).publish(events.slice(52))
    await until("all have failed", () => worker.errors.length === 104)
    const listed = await worker.outbox.getFailedEvents()
    expect(listed.map(({ id }) => id)).toEqual(
      events
        .slice(4)
        .map(({ id }) => id)
        .toReversed(),
    )
  })

  test("retryEvents sets back what it was told, and starts the count anew", async () => {
    const table = await createTable({ projection })
    const worker = startWorker(table, { maxRetries: 2, handler: () => Promise.reject(new Error("still no")) })
    await worker.outbox.publish(someEvents(3))
    await until("all have failed", async () => (await worker.outbox.getFailedEvents()).length === 3)
    const untouched = await table.read("event-2")
    await worker.outbox.retryEvents(["event-0", "event-1", "event-0"])
    await until("both have failed again", () => worker.delivered.length === 10)
    await until("both are listed again", async () => (await worker.outbox.getFailedEvents()).length === 3)
    expect(await table.read("event-0")).toMatchObject({ retryCount: 2, status: "failed" })
    expect(await table.read("event-2")).toEqual(untouched)
  })
})

test("retryEvents leaves alone what is not failed, and creates nothing for unknown ids", async () => {
  const table = await createTable()
  const gate = closedGate()
  const worker = startWorker(table, {
    handler: ({ id }) => (id === "active" ? gate.passed : undefined),
  })
  await worker.outbox.publish([someEvent({ id: "completed" })])
  await until("it is completed", async () => (await table.read("completed"))?.status === "completed")
  await worker.outbox.publish([someEvent({ id: "active" })])
  await until("it is active", () => worker.deliveredIds.includes("active"))
  await worker.outbox.publish([someEvent({ id: "created", occurredAt: new Date(Date.now() + 3_600_000) })])

  const byId = async () => (await table.all()).toSorted((a, b) => a.id.localeCompare(b.id))
  const before = await byId()
  expect(before.map(({ status }) => status)).toEqual(["active", "completed", "created"])
  await outboxOn(table).retryEvents(["active", "completed", "created", "unknown"])
  expect(await byId()).toEqual(before)
  gate.open()
})

test("between attempts the event waits, twice as long each time", async () => {
  const table = await createTable()
  const startedAt: number[] = []
  const worker = startWorker(table, {
    baseBackoffMs: 60,
    maxRetries: 3,
    handler: () => {
      startedAt.push(Date.now())
      throw new Error("no")
    },
  })
  await worker.outbox.publish([someEvent({ id: "patient" })])
  const item = await until("the first attempt has failed", async () => {
    const read = await table.read("patient")
    return read?.retryCount === 1 && read?.status === "created" && read
  })
  expect(item).toMatchObject({ lastError: "no", nextRetryAt: item.gsiSortKey })
  await until("all attempts are over", () => worker.errors.length === 3)
  const [first = 0, second = 0, third = 0] = startedAt
  expect(second - first).toBeGreaterThanOrEqual(54)
  expect(third - second).toBeGreaterThanOrEqual(108)
})

test("an event that waits for its retry doesn't hold up the others", async () => {
  const table = await createTable()
  const worker = startWorker(table, {
    baseBackoffMs: 3_600_000,
    handler: ({ id }) => {
      if (id === "event-0") throw new Error("no")
    },
  })
  await worker.outbox.publish(someEvents(5))
  await until("the others are delivered", () => worker.delivered.length === 5)
  expect(worker.deliveredIds).toEqual(someEvents(5).map(({ id }) => id))
})
