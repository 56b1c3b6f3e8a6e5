/** Tables that the original adapter wrote, and fleets in which some workers still run it. */
import { describe, expect, test } from "vitest"
import { originalItem, someEvents, stuckOriginalItem } from "../fixture/events.ts"
import { createTable, type Projection } from "../fixture/table.ts"
import { until } from "../fixture/until.ts"
import { outboxOn, startWorker } from "../fixture/worker.ts"
import type { OriginalVersion } from "./original-outbox.ts"
import { startOriginalWorker } from "./original-worker.ts"

describe.each<Projection>(["ALL", "KEYS_ONLY"])("items of the original, index %s", (projection) => {
  test("created ones are delivered, also one without payload", async () => {
    const table = await createTable({ projection })
    const { payload: _, ...withoutPayload } = originalItem({ id: "bare", gsiSortKey: 2 })
    const full = originalItem({ id: "full", gsiSortKey: 1 })
    await table.put(full)
    await table.put(withoutPayload)
    const worker = startWorker(table)
    await until("both are completed", async () =>
      (await table.all()).every(({ status }) => status === "completed"),
    )
    expect(worker.delivered).toEqual([
      { id: "full", type: full.type, payload: full.payload, occurredAt: new Date(full.occurredAt) },
      { id: "bare", type: full.type, payload: undefined, occurredAt: new Date(withoutPayload.occurredAt) },
    ])
    expect(worker.errors).toEqual([])
  })

  test("one that waits for its retry keeps its count", async () => {
    const table = await createTable({ projection })
    const dueAt = Date.now() + 100
    await table.put(
      originalItem({
        id: "again",
        retryCount: 4,
        gsiSortKey: dueAt,
        lastError: "no",
        startedOn: 1,
      }),
    )
    const worker = startWorker(table, {
      maxRetries: 5,
      handler: () => Promise.reject(new Error("the fifth")),
    })
    await until("it is a dead letter", async () => (await table.read("again"))?.status === "failed")
    expect(worker.delivered).toHaveLength(1)
    expect(await worker.outbox.getFailedEvents()).toMatchObject([
      { id: "again", retryCount: 5, error: "the fifth" },
    ])
  })

  test("active ones that got stuck are recovered and delivered", async () => {
    const table = await createTable({ projection })
    await table.put(stuckOriginalItem({ id: "stuck" }))
    const worker = startWorker(table)
    await until("it is completed", async () => (await table.read("stuck"))?.status === "completed")
    expect(worker.deliveredIds).toEqual(["stuck"])
    expect(worker.errors.map(({ name, message }) => `${name}: ${message}`)).toEqual([
      "HandlerError: Event handler failed: Processing timeout",
    ])
  })
})

test("a dead letter of the original is not in the index, but retryEvents sets it back", async () => {
  const table = await createTable()
  const { gsiSortKey: _, ...deadLetter } = originalItem({
    id: "lost",
    status: "failed",
    retryCount: 5,
    lastError: "no",
    nextRetryAt: Date.now(),
  })
  await table.put(deadLetter)
  const outbox = outboxOn(table)
  expect(await outbox.getFailedEvents()).toEqual([])
  await outbox.retryEvents(["lost"])
  const worker = startWorker(table)
  await until("it is completed", async () => (await table.read("lost"))?.status === "completed")
  expect(worker.deliveredIds).toEqual(["lost"])
})

test.each<OriginalVersion>(["1.0.0", "2.0.3"])(
  "a fleet mixed with %s delivers each event, and with claims that are conditional, once",
  async (version) => {
    const table = await createTable()
    const events = someEvents(120)
    const publisher = outboxOn(table)
    await publisher.publish(events.slice(0, 60))
    await publisher.publish(events.slice(60))

    const failedOnce = new Set<string>()
    const failEveryTenthOnce = (eventOrItem: { id?: string }) => {
      const id = String(eventOrItem.id)
      if (!/0$/.test(id) || failedOnce.has(id)) return
      failedOnce.add(id)
      throw new Error("once more")
    }
    const originals = [1, 2].map(() => startOriginalWorker(table, version, failEveryTenthOnce))
    const ours = [1, 2].map(() => startWorker(table, { handler: failEveryTenthOnce }))
    await until("all are completed", async () =>
      (await table.all()).every(({ status }) => status === "completed"),
    )

    const delivered = [...originals, ...ours].flatMap(({ deliveredIds }) => deliveredIds)
    const expected = [...events.map(({ id }) => id), ...failedOnce].toSorted()
    if (version === "2.0.3") expect(delivered.toSorted()).toEqual(expected)
    else expect(delivered).toEqual(expect.arrayContaining(expected))
    expect(await table.all()).toHaveLength(120)
  },
)

test.each<OriginalVersion>(["1.0.0", "2.0.3"])(
  "what one kind of worker leaves behind, the other recovers (%s)",
  async (version) => {
    const table = await createTable()
    const claimedByOurs = originalItem({
      id: "ours",
      status: "active",
      startedOn: 1,
      gsiSortKey: Date.now() - 1,
      claimToken: "of-a-dead-worker",
    })
    await table.put(claimedByOurs)
    const original = startOriginalWorker(table, version)
    await until(
      "the original has delivered it",
      async () => (await table.read("ours"))?.status === "completed",
    )
    expect(original.deliveredIds).toEqual(["ours"])
    await original.stop()

    await table.put(stuckOriginalItem({ id: "theirs" }))
    const worker = startWorker(table)
    await until("ours has delivered it", async () => (await table.read("theirs"))?.status === "completed")
    expect(worker.deliveredIds).toEqual(["theirs"])
  },
)
