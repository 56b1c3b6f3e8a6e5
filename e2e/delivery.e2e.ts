/** From publish to completed: order, due times, pages, concurrency. */
import { expect, test } from "vitest"
import { someEvent, someEvents } from "./fixture/events.ts"
import { createTable, newClient } from "./fixture/table.ts"
import { closedGate, until } from "./fixture/until.ts"
import { recordRequests } from "./fixture/wire.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

test("an event is delivered as it was published, once, and kept as completed outside of the index", async () => {
  const table = await createTable()
  const event = someEvent({ id: "placed" })
  await outboxOn(table).publish([event])
  expect(await table.read("placed")).toEqual({
    id: "placed",
    type: event.type,
    payload: event.payload,
    occurredAt: event.occurredAt.toISOString(),
    status: "created",
    retryCount: 0,
    gsiSortKey: event.occurredAt.getTime(),
  })

  const worker = startWorker(table)
  const item = await until("it is completed", async () => {
    const read = await table.read("placed")
    return read?.status === "completed" && read
  })
  expect(worker.delivered).toEqual([event])
  expect(item.completedOn).toBeGreaterThanOrEqual(item.startedOn)
  expect(item).not.toHaveProperty("gsiSortKey")
  expect(worker.errors).toEqual([])
})

test("one worker hands over a backlog in the order of due times, one at a time, across pages", async () => {
  const table = await createTable()
  const events = someEvents(120)
  const shuffled = events.toSorted(() => Math.random() - 0.5)
  const publisher = outboxOn(table)
  await publisher.publish(shuffled.slice(0, 60))
  await publisher.publish(shuffled.slice(60))

  let running = 0
  let mostRunning = 0
  const worker = startWorker(table, {
    batchSize: 25,
    handler: async () => {
      mostRunning = Math.max(mostRunning, ++running)
      await new Promise(setImmediate)
      running--
    },
  })
  await until("all are delivered", () => worker.delivered.length >= 120)
  await worker.outbox.stop()
  expect(worker.deliveredIds).toEqual(events.map(({ id }) => id))
  expect(mostRunning).toBe(1)
})

test("as many handlers run at once as concurrency says", async () => {
  const table = await createTable()
  await outboxOn(table).publish(someEvents(20))
  const gate = closedGate()
  const worker = startWorker(table, { concurrency: 8, handler: () => gate.passed })
  await until("eight handlers run", () => worker.delivered.length === 8)
  gate.open()
  await until("all are delivered", () => worker.delivered.length === 20)
  expect(new Set(worker.deliveredIds).size).toBe(20)
})

test("an occurredAt in the future delays delivery until then", async () => {
  const table = await createTable()
  const dueAt = new Date(Date.now() + 400)
  await outboxOn(table).publish([someEvent({ id: "later", occurredAt: dueAt }), someEvent({ id: "now" })])
  let deliveredAt = 0
  const worker = startWorker(table, {
    handler: ({ id }) => {
      if (id === "later") deliveredAt = Date.now()
    },
  })
  await until("both are delivered", () => worker.delivered.length === 2)
  expect(worker.deliveredIds).toEqual(["now", "later"])
  expect(deliveredAt).toBeGreaterThanOrEqual(dueAt.getTime())
})

test("a poll of a fresh worker looks for stuck events, then for due ones, then claims", async () => {
  const table = await createTable()
  await outboxOn(table).publish([someEvent()])
  const client = newClient()
  const requests = recordRequests(client)
  const worker = startWorker(table, { client })
  await until("it is delivered", () => worker.delivered.length === 1)
  expect(requests.slice(0, 3).map(({ step }) => step)).toEqual(["query", "query", "claim"])
})

test("a publish of the same outbox is delivered at once, however long the poll interval", async () => {
  const table = await createTable()
  const worker = startWorker(table, { pollIntervalMs: 3_600_000 })
  for (const event of someEvents(3)) {
    await worker.outbox.publish([event])
    await until("it is delivered", () => worker.deliveredIds.includes(event.id))
  }
})

test("wake delivers at once what was written elsewhere", async () => {
  const table = await createTable()
  const worker = startWorker(table, { pollIntervalMs: 3_600_000 })
  await outboxOn(table).publish([someEvent({ id: "elsewhere" })])
  await until("it is delivered", () => {
    worker.outbox.wake()
    return worker.deliveredIds.includes("elsewhere")
  })
})
