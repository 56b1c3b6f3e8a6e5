/** Items that somebody deletes while they are under way: no write brings one back, not even a part of it. */
import { describe, expect, test } from "vitest"
import { someEvent } from "./fixture/events.ts"
import { createTable, newClient, type TestTable } from "./fixture/table.ts"
import { closedGate, until } from "./fixture/until.ts"
import { beforeFirst, recordRequests } from "./fixture/wire.ts"
import { outboxOn, startWorker, type Worker } from "./fixture/worker.ts"

/** Proves that the worker is through: an event that is published later is delivered and settled. */
async function afterOneMore(table: TestTable, worker: Worker): Promise<void> {
  await worker.outbox.publish([someEvent({ id: "one-more" })])
  await until("one more is completed", async () => (await table.read("one-more"))?.status === "completed")
}

describe.each([
  ["succeeds", () => {}],
  [
    "fails",
    () => {
      throw new Error("no")
    },
  ],
])("while its handler runs, which %s", (_name, outcome) => {
  test("no ghost is left, and the next event is delivered", async () => {
    const table = await createTable()
    const worker = startWorker(table, {
      handler: async ({ id }) => {
        if (id !== "deleted") return
        await table.delete(id)
        outcome()
      },
    })
    await worker.outbox.publish([someEvent({ id: "deleted" })])
    await until("its handler has run", () => worker.delivered.length === 1)
    await afterOneMore(table, worker)
    expect((await table.all()).map(({ id }) => id)).toEqual(["one-more"])
    expect(worker.deliveredIds).toEqual(["deleted", "one-more"])
  })
})

test.each([
  ["waits", false],
  ["is being handled by another worker", true],
])(
  "and published anew, its id is another event: a late success of the first leaves it alone while it %s",
  async (_, isHandled) => {
    const table = await createTable()
    const [first, second] = [closedGate(), closedGate()]
    const old = startWorker(table, {
      processingTimeoutMs: 60_000,
      handler: ({ payload }) => (payload === "first" ? first.passed : undefined),
    })
    await old.outbox.publish([someEvent({ id: "reused", payload: "first", occurredAt: new Date(1) })])
    await until("the first is being handled", () => old.delivered.length === 1)

    // It claims nothing more, but its handler still runs.
    const stopped = old.outbox.stop()
    await table.delete("reused")
    const publisher = outboxOn(table)
    await publisher.publish([someEvent({ id: "reused", payload: "second", occurredAt: new Date(2) })])
    const other = isHandled ? startWorker(table, { handler: () => second.passed }) : undefined
    if (other) await until("the second is being handled", () => other.delivered.length === 1)
    const before = await table.read("reused")
    first.open()
    await stopped
    expect(await table.read("reused")).toEqual(before)

    second.open()
    const last = other ?? startWorker(table)
    await until("the second is completed", async () => (await table.read("reused"))?.status === "completed")
    expect(last.delivered.map(({ payload }) => payload)).toEqual(["second"])
  },
)

test.each(["claim", "complete", "fail", "recover"] as const)("just before its %s", async (step) => {
  const table = await createTable()
  const client = newClient()
  const deletion = beforeFirst(client, step, (id) => table.delete(id))
  const worker = startWorker(table, {
    client,
    handler: ({ id }) => {
      if (step === "fail" && id === "deleted") throw new Error("no")
    },
  })
  const event = someEvent({ id: "deleted" })
  if (step === "recover") {
    await table.put({
      ...event,
      occurredAt: event.occurredAt.toISOString(),
      status: "active",
      retryCount: 0,
      gsiSortKey: 1,
    })
    await worker.outbox.stop()
    worker.outbox.start(
      async () => {},
      () => {},
    )
  } else {
    await worker.outbox.publish([event])
  }
  await until("it was deleted", () => deletion.happened)
  await afterOneMore(table, worker)
  expect((await table.all()).map(({ id }) => id)).toEqual(["one-more"])
})

test("just before its renewal, and just before its release", async () => {
  const table = await createTable()
  const client = newClient()
  const requests = recordRequests(client)
  const gate = closedGate()
  const worker = startWorker(table, { client, processingTimeoutMs: 200, handler: () => gate.passed })
  await worker.outbox.publish([
    someEvent({ id: "runs", occurredAt: new Date(1) }),
    someEvent({ id: "waits" }),
  ])
  await until("the second is claimed ahead", async () => (await table.read("waits"))?.status === "active")
  await Promise.all([table.delete("runs"), table.delete("waits")])
  await until("a renewal was tried", () =>
    requests.some(({ step, isAnswered }) => step === "renew" && isAnswered),
  )
  const stopped = worker.outbox.stop()
  gate.open()
  await stopped
  expect(await table.all()).toEqual([])
  expect(worker.deliveredIds).toEqual(["runs"])
})

test("a dead letter that is deleted just before it is set back", async () => {
  const table = await createTable()
  const event = someEvent({ id: "deleted" })
  await table.put({ ...event, occurredAt: event.occurredAt.toISOString(), status: "failed", gsiSortKey: 1 })
  const client = newClient()
  beforeFirst(client, "retry", (id) => table.delete(id))
  await outboxOn(table, { client }).retryEvents(["deleted"])
  expect(await table.all()).toEqual([])
})

test("a dead letter that is deleted between the index and the item is left out of the list", async () => {
  const table = await createTable({ projection: "KEYS_ONLY" })
  const dead = (id: string, occurredAt: Date) => ({
    ...someEvent({ id }),
    occurredAt: occurredAt.toISOString(),
    status: "failed",
    retryCount: 1,
    gsiSortKey: occurredAt.getTime(),
  })
  await table.put(dead("stays", new Date(1000)))
  await table.put(dead("goes", new Date(2000)))
  const client = newClient()
  beforeFirst(client, "get", () => table.delete("goes"))
  expect((await outboxOn(table, { client }).getFailedEvents()).map(({ id }) => id)).toEqual(["stays"])
})
