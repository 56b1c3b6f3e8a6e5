/** Handlers that never end, and steps that fail in a way they should not: neither must lock events away. */
import { describe, expect, it } from "vitest"
import { LEASE_MS } from "./event-life.fixture.ts"
import { delay, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createRelay, names } from "./relay.fixture.ts"

useFakeClock()

describe.each([1, 3])("when all of %i handlers have outlived their time", (concurrency) => {
  it("what waits behind them is given back, and nothing more is claimed until one has ended", async () => {
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
