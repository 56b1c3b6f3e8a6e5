/** Several workers on one table. */
import { expect, test } from "vitest"
import { someEvents } from "./fixture/events.ts"
import { createTable, type Projection } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

test.each<[Projection, number]>([
  ["ALL", 1],
  ["KEYS_ONLY", 10],
])(
  "four workers on 400 events, index %s, concurrency %i: each is delivered exactly once",
  async (projection, concurrency) => {
    const table = await createTable({ projection })
    const publisher = outboxOn(table)
    const events = someEvents(400)
    for (let i = 0; i < 400; i += 100) await publisher.publish(events.slice(i, i + 100))

    const workers = Array.from({ length: 4 }, () => startWorker(table, { concurrency }))
    const delivered = () => workers.flatMap(({ deliveredIds }) => deliveredIds)
    await until("all are delivered", () => delivered().length >= 400)
    await Promise.all(workers.map(({ outbox }) => outbox.stop()))

    expect(delivered().toSorted()).toEqual(events.map(({ id }) => id).toSorted())
    expect((await table.all()).every(({ status }) => status === "completed")).toBe(true)
    expect(workers.flatMap(({ errors }) => errors)).toEqual([])
  },
)

test("workers share the work while more is published", async () => {
  const table = await createTable()
  const workers = Array.from({ length: 3 }, () => startWorker(table))
  const delivered = () => workers.flatMap(({ deliveredIds }) => deliveredIds)
  const events = someEvents(60)
  for (let i = 0; i < 60; i += 5) await workers[i % 3]?.outbox.publish(events.slice(i, i + 5))
  await until("all are delivered", () => delivered().length >= 60)
  await Promise.all(workers.map(({ outbox }) => outbox.stop()))
  expect(delivered().toSorted()).toEqual(events.map(({ id }) => id).toSorted())
})
