/** What becomes of delivered events: they stay, expire or are deleted; and whatever is not delivered stays in any case. */
import { expect, test } from "vitest"
import { someEvent, someEvents } from "./fixture/events.ts"
import { createTable, newClient } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { loseAnswers } from "./fixture/wire.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

const DAY_MS = 86_400_000

test("by default they stay, without anything that could expire", async () => {
  const table = await createTable()
  startWorker(table)
  await outboxOn(table).publish([someEvent({ id: "e1" })])
  const item = await until("it is completed", async () => {
    const stored = await table.read("e1")
    return stored?.status === "completed" && stored
  })
  expect(Object.keys(item).toSorted()).toEqual([
    "completedOn",
    "id",
    "occurredAt",
    "payload",
    "retryCount",
    "startedOn",
    "status",
    "type",
  ])
})

test("they expire so many days after their completion; retries and dead letters never do", async () => {
  const table = await createTable()
  const before = Date.now()
  startWorker(table, {
    completedEvents: { expireAfterDays: 7 },
    maxRetries: 2,
    handler: ({ id }) => {
      if (id !== "fine") throw new Error("no")
    },
  })
  await outboxOn(table).publish([someEvent({ id: "fine" }), someEvent({ id: "fails" })])
  await until("both are settled", async () =>
    (await table.all()).every(({ status }) => status === "completed" || status === "failed"),
  )
  const { expiresAt } = (await table.read("fine")) ?? {}
  expect(expiresAt).toBeGreaterThanOrEqual((before + 7 * DAY_MS) / 1000)
  expect(expiresAt).toBeLessThanOrEqual((Date.now() + 7 * DAY_MS) / 1000 + 1)
  expect(await table.read("fails")).toMatchObject({ status: "failed" })
  expect(await table.read("fails")).not.toHaveProperty("expiresAt")
})

test("an event that is published anew under its id does not inherit an expiry", async () => {
  const table = await createTable()
  startWorker(table, { completedEvents: { expireAfterDays: 7, attribute: "ttl" } })
  const publisher = outboxOn(table)
  await publisher.publish([someEvent({ id: "e1" })])
  await until("it is completed", async () => (await table.read("e1"))?.ttl !== undefined)
  await table.delete("e1")
  await publisher.publish([someEvent({ id: "e1", occurredAt: new Date(Date.now() + DAY_MS) })])
  expect(await table.read("e1")).not.toHaveProperty("ttl")
})

test("they are deleted, each after one delivery, also where the response of the deletion is lost", async () => {
  const table = await createTable()
  const client = newClient()
  const answers = loseAnswers(client, "delete", 3)
  const worker = startWorker(table, { client, completedEvents: "delete", concurrency: 5 })
  await outboxOn(table).publish(someEvents(20))
  await until("the table is empty", async () => (await table.all()).length === 0)
  expect(answers.lost).toBe(3)
  expect(worker.deliveredIds.toSorted()).toEqual(
    someEvents(20)
      .map(({ id }) => id)
      .toSorted(),
  )
  expect(worker.errors).toEqual([])
})

test("a late success deletes its own event only, not another one under the same id", async () => {
  const table = await createTable()
  const publisher = outboxOn(table)
  await publisher.publish([someEvent({ id: "e1" })])
  let release = () => {}
  const isReleased = new Promise<void>((resolve) => {
    release = resolve
  })
  const worker = startWorker(table, { completedEvents: "delete", handler: () => isReleased })
  await until("its handler runs", () => worker.delivered.length === 1)
  await table.delete("e1")
  const tomorrow = new Date(Date.now() + DAY_MS)
  await publisher.publish([someEvent({ id: "e1", occurredAt: tomorrow })])
  release()
  await worker.outbox.stop()
  expect(await table.read("e1")).toMatchObject({ status: "created", occurredAt: tomorrow.toISOString() })
})
