/** Requests that were carried out, or not: their answer did not come. */
import { OperationalError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import { delay, NOW, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, holding, item, refused } from "./outbox.fixture.ts"

useFakeClock()

const boom = new Error("boom")

describe("a lost response", () => {
  it("of a claim: the event is released, since it may be claimed, and is claimed again in the next poll", async () => {
    const answers = holding(item("e1"))
    const all = createOutbox({
      ...answers,
      due: () => ({ Items: all.handled.length === 0 ? [item("e1")] : [] }),
      claim: (input, call) =>
        call === 0 ? Promise.reject(new Error("socket hang up")) : answers.claim?.(input, call),
    })
    all.start()
    await pass()
    const [claim] = all.inputsOf("claim")
    const [fence] = all.inputsOf("fence")
    expect(fence?.ExpressionAttributeValues).toMatchObject({
      ":mine": claim?.ExpressionAttributeValues[":set_claimToken"],
      ":myLease": claim?.ExpressionAttributeValues[":set_gsiSortKey"],
      ":now": claim?.ExpressionAttributeValues[":now"],
      ":set_gsiSortKey": NOW + 1,
    })
    expect(all.errors).toHaveLength(1)
    await pass(5000)
    await all.outbox.stop()
    expect(all.handled).toEqual(["e1"])
    expect(all.inputsOf("claim")).toHaveLength(2)
  })

  it("of a claim is still an error where releasing fails, too, but only one", async () => {
    const all = createOutbox({
      ...holding(item("e1")),
      claim: () => Promise.reject(new Error("socket hang up")),
      fence: () => Promise.reject(new Error("still down")),
    })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.errors).toEqual([expect.any(OperationalError)])
    expect(all.errors[0]?.cause).toMatchObject({ message: "socket hang up" })
  })

  it("of a claim: where undoing it fails, too, that is retried once the database responds", async () => {
    let isDown = true
    const answers = holding(item("e1"), item("e2"))
    const all = createOutbox({
      ...answers,
      claim: (input, call) =>
        call === 0 ? Promise.reject(new Error("socket hang up")) : answers.claim?.(input, call),
      fence: () => (isDown ? Promise.reject(new Error("still down")) : {}),
    })
    all.start()
    await pass(10_000)
    const [first, ...others] = all.inputsOf("fence")
    expect(others.length).toBeGreaterThan(0)
    for (const other of others) expect(other).toEqual(first)
    isDown = false
    await pass(20_000)
    const { length } = all.inputsOf("fence")
    await pass(20_000)
    expect(all.inputsOf("fence")).toHaveLength(length)
    expect(all.errors).toHaveLength(1)
    await all.outbox.stop()
  })

  it("of a claim: it is not undone once its lease has expired, which is recovery's", async () => {
    const answers = holding(item("e1"))
    const all = createOutbox({
      ...answers,
      claim: () => Promise.reject(new Error("socket hang up")),
      fence: () => Promise.reject(new Error("no")),
    })
    all.start()
    await pass(60_000)
    const { length } = all.inputsOf("fence")
    await pass(60_000)
    expect(all.inputsOf("fence")).toHaveLength(length)
    await all.outbox.stop()
  })

  it("of a claim while stopping: the stop waits until it is undone", async () => {
    const fenced = deferred<object>()
    let lose: (error: Error) => void = () => {}
    const all = createOutbox({
      ...holding(item("e1")),
      claim: () =>
        new Promise((_, reject) => {
          lose = reject
        }),
      fence: () => fenced.promise,
    })
    all.start()
    await pass()
    const stopped = vi.fn()
    void all.outbox.stop().then(stopped)
    lose(new Error("socket hang up"))
    await pass(1000)
    expect(stopped).not.toHaveBeenCalled()
    fenced.resolve({})
    await pass(100)
    expect(stopped).toHaveBeenCalledOnce()
    expect(all.steps()).toEqual(["stuck", "due", "claim", "fence", "due"])
  })

  it.each(["complete", "fail"] as const)("of %s: it is written again, and reported once", async (step) => {
    const all = createOutbox({
      ...holding(item("e1")),
      [step]: (_: unknown, call: number) => (call < 2 ? Promise.reject(new Error("socket hang up")) : {}),
    })
    if (step === "fail") all.onEvent(() => Promise.reject(boom))
    all.start()
    await pass(1000)
    await all.outbox.stop()
    expect(all.handled).toEqual(["e1"])
    const writes = all.inputsOf(step)
    expect(writes).toHaveLength(3)
    expect(writes[1]).toEqual(writes[0])
    const settling = all.errors.filter(({ message }) => message === 'Could not settle event "e1"')
    expect(settling).toHaveLength(1)
    expect(all.errors).toHaveLength(step === "fail" ? 2 : 1)
  })

  describe("of a renewal", () => {
    /** The second event is claimed while the handler of the first one runs, and renewed after 10.5 s. */
    const createWaiting = (firstTakesMs: number, renew: (call: number) => unknown) => {
      vi.spyOn(Math, "random").mockReturnValue(0.5)
      const answers = holding(item("e1"), item("e2"))
      const all = createOutbox({ ...answers, renew: (_, call) => renew(call) })
      all.onEvent(async ({ id }) => {
        if (id === "e2") throw boom
        await delay(firstTakesMs)
      })
      return all
    }
    const lost = () => Promise.reject(new Error("socket hang up"))

    it("has the same one retried, since it may be written", async () => {
      const all = createWaiting(12_500, (call) => (call === 0 ? lost() : {}))
      all.start()
      await pass(12_600)
      await all.outbox.stop()
      expect(all.handled).toEqual(["e1", "e2"])
      const ends = all.inputsOf("renew").map((input) => input.ExpressionAttributeValues[":set_gsiSortKey"])
      expect(ends).toEqual([NOW + 40_500, NOW + 40_500])
      expect(all.inputsOf("fail")[0]?.ExpressionAttributeValues).toMatchObject({
        ":myLease": NOW + 40_500,
        ":myOtherLease": NOW + 40_500,
      })
    })

    it("leaves the claim mine under either lease end", async () => {
      const all = createWaiting(11_000, lost)
      all.start()
      await pass(11_100)
      await all.outbox.stop()
      expect(all.handled).toEqual(["e1", "e2"])
      expect(all.inputsOf("fail")[0]?.ExpressionAttributeValues).toMatchObject({
        ":myLease": NOW + 30_000,
        ":myOtherLease": NOW + 40_500,
      })
    })

    it("that is refused has the event dropped", async () => {
      const all = createWaiting(12_500, () => Promise.reject(refused()))
      all.start()
      await pass(12_600)
      await all.outbox.stop()
      expect(all.handled).toEqual(["e1"])
      expect(all.errors).toEqual([])
    })
  })
})

describe("answers that take longer than a renewal usually waits for one", () => {
  const createSlow = (processingTimeoutMs: number, roundTripMs: number) => {
    const answers = holding(item("e1"), item("e2"))
    const slow = async (answer: unknown) => {
      await delay(roundTripMs)
      return answer
    }
    return createOutbox(
      { ...answers, claim: (...all) => slow(answers.claim?.(...all)), renew: () => slow({}) },
      { processingTimeoutMs },
    )
  }

  it.each([
    [100, 1500],
    [1000, 1100],
  ])("with a lease of %i ms that is shorter still: it is reported", async (leaseMs, roundTripMs) => {
    vi.spyOn(process, "emitWarning").mockImplementation(() => {})
    const all = createSlow(leaseMs, roundTripMs)
    all.start()
    await pass(20_000)
    expect(all.handled).toEqual([])
    expect(all.errors.map(({ message }) => message)).toEqual([
      expect.stringMatching(
        `processingTimeoutMs \\(${leaseMs}\\) is too short .* fastest took ${roundTripMs} ms`,
      ),
    ])
    await all.outbox.stop()
  })

  it("with a lease that is longer: handlers start", async () => {
    const all = createSlow(2000, 1200)
    all.start()
    await pass(20_000)
    expect(all.handled).toContain("e1")
    expect(all.errors).toEqual([])
    await all.outbox.stop()
  })
})
