/** Handlers that never end, and steps that fail in a way they should not: neither must lock events away. */
import { describe, expect, it } from "vitest"
import { LEASE_MS } from "../test/event-operations.fixture.ts"
import { delay, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { createRelay, names } from "../test/relay.fixture.ts"

useFakeClock()

describe.each([1, 3])("when all of %i handlers have exceeded their timeouts", (concurrency) => {
  it("what waits behind them is released, and nothing more is claimed until one has ended", async () => {
    const { table, life, started, onEvent, poll } = createRelay({ concurrency })
    table.putAll(names(20))
    const endings: (() => void)[] = []
    onEvent(() => new Promise((resolve) => endings.push(resolve)))
    const done = poll()
    await pass(LEASE_MS * 2)
    expect(started).toEqual(names(20).slice(0, concurrency))
    expect(table.in("active")).toEqual(started)
    const claims = life.claim.mock.calls.length
    await pass(LEASE_MS * 20)
    expect(life.claim.mock.calls.length).toBe(claims)
    expect(table.in("created")).toHaveLength(20 - concurrency)

    onEvent(async () => {})
    for (const end of endings) end()
    await pass(5000)
    await done
    expect(table.in("completed")).toEqual(names(20))
  })
})

describe("a lease that is shorter than the round trips", () => {
  const answerLate = ({ life }: ReturnType<typeof createRelay>, byMs: () => number) => {
    for (const step of ["claim", "renew"] as const) {
      const write = life[step].getMockImplementation() as (...all: unknown[]) => Promise<unknown>
      life[step].mockImplementation(async (...all: unknown[]) => {
        const outcome = await write(...all)
        await delay(byMs())
        return outcome as never
      })
    }
  }

  it("starts nothing, is reported once, and each poll ends with the event released", async () => {
    const all = createRelay()
    const { table, life, started, poll } = all
    table.putAll(names(3))
    answerLate(all, () => LEASE_MS * 0.9)
    for (let polls = 0; polls < 3; polls++) {
      const done = poll()
      await pass(10 * LEASE_MS)
      expect(await done).toBe("done")
    }
    expect(started).toEqual([])
    expect(table.in("created")).toEqual(names(3))
    expect(life.interrupted).toHaveBeenCalledOnce()
    expect(String(life.interrupted.mock.calls[0]?.[0])).toMatch(/processingTimeoutMs \(1000\).* 900 ms/)
  })

  it("is no reason to give up once DynamoDB is faster", async () => {
    const all = createRelay()
    const { table, started, poll } = all
    table.putAll(names(3))
    let byMs = LEASE_MS * 0.9
    answerLate(all, () => byMs)
    void poll()
    await pass(10 * LEASE_MS)
    expect(started).toEqual([])
    byMs = 5
    // What was released is not retried for a while, as anything that has just been claimed.
    await pass(10_000)
    void poll()
    await pass(10 * LEASE_MS)
    expect(started).toEqual(names(3))
  })
})

describe.each(["fail", "release"] as const)("while the %s of an event is being written", (step) => {
  it("its worker holds it still, so its own recovery leaves it alone, and does not renew it", async () => {
    const { table, life, relay, onEvent, poll } = createRelay()
    for (const [i, id] of names(2).entries())
      table.put({ id, dueAt: Date.now() - 10 + i, isLastAttempt: i === 1 })
    table.latencyMs[step] = LEASE_MS * 0.8
    onEvent(async ({ id }) => {
      if (step === "release") await delay(LEASE_MS * 0.9)
      else if (id === "e0000") throw new Error("boom")
    })
    void poll()
    await pass(LEASE_MS * 0.7)
    expect(life[step]).toHaveBeenCalledOnce()
    const id = step === "fail" ? "e0000" : "e0001"
    expect(relay.holds(id)).toBe(true)
    expect(life.renew.mock.calls.filter(([lease]) => lease.id === id)).toEqual([])
    await pass(10 * LEASE_MS)
    expect(relay.holds(id)).toBe(false)
  })
})

describe("a step that rejects although it should not", () => {
  it("release: as the others", async () => {
    const { table, life, relay, onEvent, poll } = createRelay()
    table.put({ id: "slow", dueAt: Date.now() - 20 })
    table.put({ id: "last", dueAt: Date.now() - 10, isLastAttempt: true })
    life.release.mockRejectedValueOnce(new Error("unexpected"))
    onEvent(() => delay(100))
    const done = poll()
    await pass(5000)
    expect(await done).toBe("unsure")
    expect(life.interrupted).toHaveBeenCalledExactlyOnceWith(new Error("unexpected"))
    await relay.stop()
  })

  it.each(["fail", "complete"] as const)(
    "%s: ends the poll, which reports its error, and leaves nothing hanging",
    async (step) => {
      const { table, life, relay, onEvent, poll } = createRelay()
      table.putAll(names(3))
      life[step].mockRejectedValueOnce(new Error("unexpected"))
      onEvent(async () => {
        if (step === "fail") throw new Error("boom")
      })
      const done = poll()
      await pass(5000)
      expect(await done).toBe("unsure")
      expect(life.interrupted).toHaveBeenCalledExactlyOnceWith(new Error("unexpected"))
      await relay.stop()
    },
  )
})
