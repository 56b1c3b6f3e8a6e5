/**
 * Every write of the table in the design, with a rival's write between what was read and the write itself. The rival is what
 * the condition is there for: where it was not checked, each of these tests sees the wrong outcome.
 */
import { describe, expect, test } from "vitest"
import { originalItem, someEvent, stuckOriginalItem } from "./fixture/events.ts"
import { createTable, type Item, newClient, type TestTable } from "./fixture/table.ts"
import { closedGate, until } from "./fixture/until.ts"
import { beforeFirst, recordRequests, type Step } from "./fixture/wire.ts"
import { outboxOn, startWorker, type WorkerOptions } from "./fixture/worker.ts"

/** What another worker of ours writes when it claims. */
const claimedByRival = () => ({
  status: "active",
  gsiSortKey: Date.now() + 3_600_000,
  startedOn: Date.now(),
  claimToken: "rival",
})
/** What any worker writes when it recovers the event; it is not due again soon. */
const recovered = () => ({
  status: "created",
  gsiSortKey: Date.now() + 3_600_000,
  retryCount: 1,
  lastError: "Processing timeout",
})
const completedByRival = () => ({
  status: "completed",
  completedOn: 1,
  gsiSortKey: undefined,
  claimToken: undefined,
})
/** An operator edits the status by hand, and nothing else. */
const markedByOperator = () => ({ status: "failed" })
/** A worker of the original claims anew and leaves our token on the item. */
const claimedByOriginal = () => ({
  status: "active",
  gsiSortKey: Date.now() + 3_600_000,
  startedOn: Date.now(),
})

interface Contest {
  table: TestTable
  /** The item as the rival left it. */
  byRival: Item | undefined
  delivered: string[]
}

/** Publishes an event, has the rival write before the first `step`, waits until the worker is through with it. */
async function contest(step: Step, rival: () => Item, options: WorkerOptions = {}): Promise<Contest> {
  const table = await createTable()
  const client = newClient()
  let byRival: Item | undefined
  const turn = beforeFirst(client, step, async (id) => {
    await table.set(id, rival())
    byRival = await table.read(id)
  })
  await outboxOn(table).publish([someEvent({ id: "contested" })])
  const worker = startWorker(table, { ...options, client })
  await until("the rival has written", () => turn.happened)
  await worker.outbox.stop()
  return { table, byRival, delivered: worker.deliveredIds }
}

test("publish: the id is taken just before", async () => {
  const table = await createTable()
  const client = newClient()
  const byRival = originalItem({ id: "contested", payload: "the rival's" })
  beforeFirst(client, "publish", () => table.put(byRival))
  const published = outboxOn(table, { client }).publish([
    someEvent({ id: "free" }),
    someEvent({ id: "contested" }),
  ])
  await expect(published).rejects.toThrow(/already: contested\./)
  expect(await table.all()).toEqual([byRival])
})

describe("claim", () => {
  test.each([
    ["another worker has claimed it", claimedByRival],
    ["a worker of the original has claimed it", claimedByOriginal],
    ["another worker has completed it", completedByRival],
    ["another worker has failed it, and it is not due", recovered],
    ["another worker has made it a dead letter", () => ({ status: "failed", gsiSortKey: 1 })],
  ])("%s", async (_name, rival) => {
    const { table, byRival, delivered } = await contest("claim", rival)
    expect(await table.read("contested")).toEqual(byRival)
    expect(delivered).toEqual([])
  })
})

describe("fail", () => {
  const handler = () => Promise.reject(new Error("mine"))
  test.each([
    ["another worker has claimed it anew", claimedByRival],
    ["a worker of the original has claimed it anew, with my token still on it", claimedByOriginal],
    ["it was recovered and counted", recovered],
    ["it was completed", completedByRival],
    ["it is a dead letter", () => ({ status: "failed", gsiSortKey: 1, retryCount: 5 })],
    ["an operator has marked it as failed", markedByOperator],
  ])("%s", async (_name, rival) => {
    const { table, byRival } = await contest("fail", rival, { handler })
    expect(await table.read("contested")).toEqual(byRival)
  })
})

describe("complete", () => {
  test.each([
    ["another worker has claimed it anew", claimedByRival],
    ["it was recovered and waits", recovered],
    ["it is a dead letter by now", () => ({ status: "failed", gsiSortKey: 1, retryCount: 5 })],
  ])("%s: it is delivered, whoever holds the claim", async (_name, rival) => {
    const { table } = await contest("complete", rival)
    const item = await table.read("contested")
    expect(item?.status).toBe("completed")
    expect(item).not.toHaveProperty("gsiSortKey")
  })

  test("it was completed before: the first completion stands", async () => {
    const { table, byRival } = await contest("complete", completedByRival)
    expect(await table.read("contested")).toEqual(byRival)
  })
})

/** One event runs, another waits with its claim; the rival writes before the `step` of the one that waits. */
async function waitingContest(step: "renew" | "release", rival: () => Item) {
  const table = await createTable()
  const client = newClient()
  const gate = closedGate()
  const requests = recordRequests(client)
  const worker = startWorker(table, {
    client,
    processingTimeoutMs: step === "renew" ? 800 : 10_000,
    handler: () => gate.passed,
  })
  await worker.outbox.publish([
    someEvent({ id: "runs", occurredAt: new Date(1) }),
    someEvent({ id: "contested", occurredAt: new Date(2) }),
  ])
  await until(
    "the second waits with its claim",
    async () => (await table.read("contested"))?.status === "active",
  )
  await table.set("contested", rival())
  const byRival = await table.read("contested")
  const stopped = step === "release" ? worker.outbox.stop() : undefined
  await until(`its ${step} is answered`, () =>
    requests.some((each) => each.step === step && each.id === "contested" && each.isAnswered),
  )
  gate.open()
  await stopped
  await until("the first is completed", async () => (await table.read("runs"))?.status === "completed")
  await worker.outbox.stop()
  return { table, byRival, delivered: worker.deliveredIds }
}

describe.each(["renew", "release"] as const)("%s", (step) => {
  test.each([
    ["another worker has recovered and claimed it", claimedByRival],
    ["a worker of the original has claimed it anew, with my token still on it", claimedByOriginal],
    ["it was recovered and waits", recovered],
    ["it was completed", completedByRival],
    ["an operator has marked it as failed", markedByOperator],
  ])("%s: nothing is written, and the handler is not started", async (_name, rival) => {
    const { table, byRival, delivered } = await waitingContest(step, rival)
    expect(await table.read("contested")).toEqual(byRival)
    expect(delivered).toEqual(["runs"])
  })
})

describe("recover", () => {
  test.each([
    ["its owner has renewed the lease", () => ({ gsiSortKey: Date.now() + 3_600_000 })],
    ["its owner has completed it", completedByRival],
    ["its owner has failed it", recovered],
    ["another worker has put it aside", () => ({ status: "failed", gsiSortKey: 1 })],
    ["another worker has recovered it and claimed it", claimedByRival],
    [
      "a worker of the original has recovered and claimed it, and is stuck again",
      () => ({ gsiSortKey: 2, retryCount: 1 }),
    ],
  ])("%s", async (_name, rival) => {
    const table = await createTable()
    await table.put(stuckOriginalItem({ id: "contested" }))
    const client = newClient()
    let byRival: Item | undefined
    beforeFirst(client, "recover", async (id) => {
      await table.set(id, rival())
      byRival = await table.read(id)
    })
    const worker = startWorker(table, { client, processingTimeoutMs: 60_000 })
    await until("the rival has written", () => byRival !== undefined)
    await worker.outbox.stop()
    expect(await table.read("contested")).toEqual(byRival)
    expect(worker.errors).toEqual([])
    expect(worker.delivered).toEqual([])
  })

  test("an unreadable one that another worker has claimed since is not set aside", async () => {
    const table = await createTable()
    await table.put(stuckOriginalItem({ id: "contested", type: undefined }))
    const client = newClient()
    let byRival: Item | undefined
    beforeFirst(client, "setAside", async (id) => {
      await table.set(id, { ...claimedByRival(), type: "mended" })
      byRival = await table.read(id)
    })
    const worker = startWorker(table, { client, processingTimeoutMs: 60_000 })
    await until("the rival has written", () => byRival !== undefined)
    await worker.outbox.stop()
    expect(await table.read("contested")).toEqual(byRival)
  })
})

describe("retryEvents", () => {
  test.each([
    ["another operator has set it back and a worker has claimed it", claimedByRival],
    ["another operator has set it back and it is completed", completedByRival],
    ["another operator has set it back and it waits for its retry", recovered],
  ])("%s", async (_name, rival) => {
    const table = await createTable()
    await table.put(originalItem({ id: "contested", status: "failed", retryCount: 5, lastError: "no" }))
    const client = newClient()
    let byRival: Item | undefined
    beforeFirst(client, "retry", async (id) => {
      await table.set(id, rival())
      byRival = await table.read(id)
    })
    await outboxOn(table, { client }).retryEvents(["contested"])
    expect(byRival).toBeDefined()
    expect(await table.read("contested")).toEqual(byRival)
  })
})
