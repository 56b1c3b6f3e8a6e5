/** stop(): nothing new starts, what runs is finished, what was only claimed is released without counting an attempt. */
import { expect, test } from "vitest"
import { someEvent, someEvents } from "./fixture/events.ts"
import { createTable, newClient } from "./fixture/table.ts"
import { closedGate, until } from "./fixture/until.ts"
import { intercept } from "./fixture/wire.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

test("waits for the handler that runs and settles its event; what waited is released as if never claimed", async () => {
  const table = await createTable()
  const gate = closedGate()
  const worker = startWorker(table, { handler: () => gate.passed })
  await worker.outbox.publish(someEvents(6))
  const published = await table.all()
  await until(
    "one runs and another is claimed ahead",
    async () => (await table.all()).filter(({ status }) => status === "active").length >= 2,
  )
  let isStopped = false
  const stopped = worker.outbox.stop().then(() => {
    isStopped = true
  })
  await until(
    "the others are released",
    async () => (await table.all()).filter(({ status }) => status === "active").length === 1,
  )
  expect(isStopped).toBe(false)
  gate.open()
  await stopped

  expect(worker.deliveredIds).toEqual(["event-0"])
  const items = new Map((await table.all()).map((item) => [item.id, item]))
  expect(items.get("event-0")?.status).toBe("completed")
  for (const item of published.filter(({ id }) => id !== "event-0")) {
    const { claimToken: _, ...now } = items.get(item.id) as Record<string, unknown>
    expect(now).toEqual(item)
  }
  expect(worker.errors).toEqual([])

  const next = startWorker(table)
  await until("the next worker delivers them", () => next.delivered.length === 5)
  expect(next.deliveredIds).toEqual(["event-1", "event-2", "event-3", "event-4", "event-5"])
})

test("a handler that fails during stop is counted", async () => {
  const table = await createTable()
  const gate = closedGate()
  const worker = startWorker(table, {
    handler: () => gate.passed.then(() => Promise.reject(new Error("no"))),
  })
  await worker.outbox.publish([someEvent({ id: "fails" })])
  await until("its handler runs", () => worker.delivered.length === 1)
  const stopped = worker.outbox.stop()
  gate.open()
  await stopped
  expect(await table.read("fails")).toMatchObject({ status: "created", retryCount: 1, lastError: "no" })
})

test("a claim that is answered only after stop() is released", async () => {
  const table = await createTable()
  const client = newClient()
  const gate = closedGate()
  let isClaimed = false
  intercept(client, async ({ step }, send) => {
    const answer = await send()
    if (step === "claim" && worker.delivered.length > 0) {
      isClaimed = true
      await gate.passed
    }
    return answer
  })
  const worker = startWorker(table, { client })
  await worker.outbox.publish([someEvent({ id: "early" })])
  await until("something has been handed over", () => worker.delivered.length === 1)
  await worker.outbox.publish([someEvent({ id: "late" })])
  await until("the claim is written", () => isClaimed)
  const stopped = worker.outbox.stop()
  gate.open()
  await stopped
  expect(worker.deliveredIds).toEqual(["early"])
  expect(await table.read("late")).toMatchObject({ status: "created", retryCount: 0 })
})

test("may be called twice, before start, and is followed by another start", async () => {
  const table = await createTable()
  await outboxOn(table).stop()
  const worker = startWorker(table)
  await Promise.all([worker.outbox.stop(), worker.outbox.stop()])
  await worker.outbox.publish([someEvent({ id: "after" })])
  const deliveredIds: string[] = []
  worker.outbox.start(
    async ({ id }) => void deliveredIds.push(id),
    () => {},
  )
  await until("it is delivered", () => deliveredIds.length === 1)
  await worker.outbox.stop()
  await worker.outbox.stop()
  expect(deliveredIds).toEqual(["after"])
})

test("right after a start, each call delivers a page, until all is delivered", async () => {
  const table = await createTable()
  const outbox = outboxOn(table, { batchSize: 5 })
  await outbox.publish(someEvents(12))
  const delivered: string[] = []
  for (const count of [5, 10, 12, 12]) {
    outbox.start(
      async ({ id }) => void delivered.push(id),
      () => {},
    )
    await outbox.stop()
    expect(delivered).toHaveLength(count)
  }
  expect((await table.all()).every(({ status }) => status === "completed")).toBe(true)
})
