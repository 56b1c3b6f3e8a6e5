/** Publishing without a collector: what is refused, and that it changes nothing. */
import { BatchSizeLimitError, ValidationError } from "outbox-event-bus"
import { expect, test } from "vitest"
import { someEvent, someEvents } from "./fixture/events.ts"
import { createTable, newClient } from "./fixture/table.ts"
import { closedGate, until } from "./fixture/until.ts"
import { recordRequests } from "./fixture/wire.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

test("a second publish of an id is refused by its name, and the first stays as it was", async () => {
  const table = await createTable()
  const outbox = outboxOn(table)
  await outbox.publish([someEvent({ id: "taken", payload: "first" })])
  const first = await table.read("taken")

  const second = outbox.publish([someEvent({ id: "taken", payload: "second" })])
  await expect(second).rejects.toThrow(ValidationError)
  await expect(second).rejects.toThrow(/already: taken\. Nothing was published/)
  expect(await table.read("taken")).toEqual(first)
})

test("in a batch, the refused ids are named and none of the others is stored", async () => {
  const table = await createTable()
  const outbox = outboxOn(table)
  await outbox.publish(someEvents(3, "old"))
  const batch = [...someEvents(4, "new"), someEvent({ id: "old-2" }), someEvent({ id: "old-0" })]
  await expect(outbox.publish(batch)).rejects.toThrow(/already: old-2, old-0\./)
  expect((await table.all()).map(({ id }) => id).toSorted()).toEqual(["old-0", "old-1", "old-2"])
})

test("an id twice in one batch is refused by its name", async () => {
  const table = await createTable()
  const batch = [someEvent({ id: "same" }), someEvent({ id: "other" }), someEvent({ id: "same" })]
  await expect(outboxOn(table).publish(batch)).rejects.toThrow(/occur twice in one transaction: same\./)
  expect(await table.all()).toEqual([])
})

test("an event under way can't be published again", async () => {
  const table = await createTable()
  const gate = closedGate()
  const worker = startWorker(table, { handler: () => gate.passed })
  await worker.outbox.publish([someEvent({ id: "running" })])
  await until("its handler runs", () => worker.delivered.length === 1)
  await expect(outboxOn(table).publish([someEvent({ id: "running" })])).rejects.toThrow(/already: running\./)
  gate.open()
  await until("it is completed", async () => (await table.read("running"))?.status === "completed")
  expect(worker.delivered).toHaveLength(1)
})

test("a completed event can't be published again", async () => {
  const table = await createTable()
  const worker = startWorker(table)
  await worker.outbox.publish([someEvent({ id: "done" })])
  await until("it is completed", async () => (await table.read("done"))?.status === "completed")
  const completed = await table.read("done")
  await expect(outboxOn(table).publish([someEvent({ id: "done" })])).rejects.toThrow(/already: done\./)
  expect(await table.read("done")).toEqual(completed)
})

test("no events send nothing; 100 go in one transaction; 101 are refused before anything is sent", async () => {
  const table = await createTable()
  const client = newClient()
  const requests = recordRequests(client)
  const outbox = outboxOn(table, { client })
  await outbox.publish([])
  const tooMany = outbox.publish(someEvents(101))
  await expect(tooMany).rejects.toThrow(BatchSizeLimitError)
  await expect(tooMany).rejects.toThrow("Cannot publish 101 events because the batch size limit is 100.")
  expect(requests).toEqual([])

  await outbox.publish(someEvents(100))
  expect(requests.map(({ step }) => step)).toEqual(["publish"])
  expect(await table.all()).toHaveLength(100)
})
