/** When the outbox looks for events. */
import { describe, expect, it, vi } from "vitest"
import type { TransactWriteItem } from "../transaction/collector.ts"
import { getDynamoDBAwsSdkCollector, withDynamoDBAwsSdkTransaction } from "../transaction-storage.ts"
import { delay, NOW, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, event, item, refused } from "./outbox.fixture.ts"

useFakeClock()

describe("a wake", () => {
  /** When the due events were asked for, in milliseconds after the start. */
  const looks = (all: ReturnType<typeof createOutbox>) =>
    all.inputsOf("due").map((input) => Number(input.ExpressionAttributeValues[":now"]) - NOW)

  const started = async (options = {}) => {
    const all = createOutbox({}, { pollIntervalMs: 60_000, ...options })
    all.start()
    await pass(1000)
    expect(looks(all)).toEqual([0])
    return all
  }

  it("after a publish looks at once, and again when the index has had time to show the events", async () => {
    const all = await started()
    await all.outbox.publish([event("e1")])
    await pass()
    expect(looks(all)).toEqual([0, 1000])
    await pass(500)
    expect(looks(all)).toEqual([0, 1000, 1100])
    await all.outbox.stop()
  })

  it("after the helper's transaction looks then, and not before", async () => {
    const all = await started({ getCollector: getDynamoDBAwsSdkCollector() })
    await withDynamoDBAwsSdkTransaction(async () => {
      await all.outbox.publish([event("e1")])
      await pass(300)
      expect(looks(all)).toEqual([0])
    })
    await pass()
    expect(looks(all)).toEqual([0, 1300])
    await all.outbox.stop()
  })

  it("does not follow a publish into a collector of the caller's own, until wake() is called", async () => {
    const all = await started()
    await all.outbox.publish([event("e1")], [] as TransactWriteItem[])
    await pass(500)
    expect(looks(all)).toEqual([0])
    all.outbox.wake()
    await pass()
    expect(looks(all)).toEqual([0, 1500])
    await all.outbox.stop()
  })

  it("follows retryEvents, also where it failed for some", async () => {
    const all = createOutbox(
      { retry: () => Promise.reject(new Error("throttled")) },
      { pollIntervalMs: 60_000 },
    )
    all.start()
    await pass(1000)
    await expect(all.outbox.retryEvents(["e1"])).rejects.toThrow("Could not retry the events e1")
    await pass()
    expect(looks(all)).toEqual([0, 1000])
    await all.outbox.stop()
  })

  it("follows nothing that failed or was empty", async () => {
    const all = await started()
    await all.outbox.publish([])
    await expect(all.outbox.publish([event("")])).rejects.toThrow()
    await pass(500)
    expect(looks(all)).toEqual([0])
    await all.outbox.stop()
  })

  it("before start or after stop starts nothing", async () => {
    const all = createOutbox()
    all.outbox.wake()
    await pass(500)
    all.start()
    await pass()
    await all.outbox.stop()
    all.outbox.wake()
    await pass(5000)
    expect(looks(all)).toEqual([500])
  })

  it("that comes often does not make second looks pile up", async () => {
    const all = await started()
    for (let i = 0; i < 50; i++) all.outbox.wake()
    await pass(500)
    expect(looks(all).length).toBeLessThanOrEqual(4)
    await all.outbox.stop()
  })
})

describe("several events published within the lag of the index", () => {
  it("have a look of their own after the last of them", async () => {
    const all = createOutbox()
    all.start()
    await pass(10)
    all.outbox.wake()
    await pass(99)
    all.outbox.wake()
    const before = all.inputsOf("due").length
    await pass(99)
    expect(all.inputsOf("due").length).toBe(before + 1)
    await pass(1)
    expect(all.inputsOf("due").length).toBe(before + 2)
    await all.outbox.stop()
  })
})

describe("polls", () => {
  it("look for due events each pollIntervalMs, and for stuck ones only as often as leases need it", async () => {
    const all = createOutbox()
    all.start()
    await pass(59_500)
    await all.outbox.stop()
    expect(all.inputsOf("due")).toHaveLength(60)
    expect(all.inputsOf("stuck")).toHaveLength(4)
  })

  it("that last long make room for recovery in between, and go on at once", async () => {
    let next = 0
    const all = createOutbox(
      { due: () => ({ Items: [item(`e${next++}`)] }) },
      { processingTimeoutMs: 1000, pollIntervalMs: 60_000 },
    )
    all.onEvent(() => delay(50))
    all.start()
    await pass(5000)
    expect(all.inputsOf("stuck").length).toBeGreaterThanOrEqual(8)
    expect(all.handled.length).toBeGreaterThan(80)
    const stopped = all.outbox.stop()
    await pass(100)
    await stopped
  })

  it("that leave the events to faster workers come back soon, not after pollIntervalMs: some may be left", async () => {
    const rows = Array.from({ length: 6 }, (_, i) => item(`e${i}`))
    let others = 6
    const all = createOutbox(
      {
        due: () => ({ Items: rows }),
        claim: (_, call) => (call < others ? Promise.reject(refused()) : undefined),
      },
      { pollIntervalMs: 60_000 },
    )
    vi.spyOn(Math, "random").mockReturnValue(0.5)
    all.start()
    await pass(199)
    const looks = all.inputsOf("due").length
    await pass(1)
    expect(all.inputsOf("due").length).toBeGreaterThan(looks)
    others = all.inputsOf("claim").length
    expect(others).toBe(4)
    await pass(2500)
    expect(all.handled.length).toBeGreaterThan(0)
    await all.outbox.stop()
  })

  it("that fail are reported and come back with a growing delay", async () => {
    const all = createOutbox({ due: () => Promise.reject(new Error("throttled")) })
    all.start()
    await pass(20_000)
    await all.outbox.stop()
    expect(all.errors.length).toBeGreaterThanOrEqual(3)
    expect(all.errors.length).toBeLessThanOrEqual(6)
    expect(all.errors[0]).toMatchObject({ message: "Polling cycle failed", cause: { message: "throttled" } })
  })
})
