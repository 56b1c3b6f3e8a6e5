import { TimeoutError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { pass, useFakeClock } from "./fake-clock.fixture.ts"
import { Patience } from "./patience.ts"

const never = () => new Promise<never>(() => {})

useFakeClock()

describe("an answer under way", () => {
  it("is given up five seconds after a hurry begins, also when it was asked for before", async () => {
    const patience = new Patience(30_000)
    const outcome = vi.fn()
    void patience.inTime(never()).catch(outcome)
    await pass(2000)
    patience.hurry()
    await pass(4999)
    expect(outcome).not.toHaveBeenCalled()
    await pass(1)
    expect(outcome).toHaveBeenCalledExactlyOnceWith(expect.any(TimeoutError))
  })

  it("gets five seconds when it is asked for in a hurry, however old that is", async () => {
    const patience = new Patience(30_000)
    patience.hurry()
    await pass(60_000)
    const outcome = vi.fn()
    void patience.inTime(never()).catch(outcome)
    await pass(4999)
    expect(outcome).not.toHaveBeenCalled()
    await pass(1)
    expect(outcome).toHaveBeenCalledOnce()
  })

  it.each([1, 30_000, 3_600_000])(
    "gets ten seconds with a lease of %i ms, so that a usual one has room for another try",
    async (leaseMs) => {
      const patience = new Patience(leaseMs)
      const outcome = vi.fn()
      void patience.inTime(never()).catch(outcome)
      await pass(9999)
      expect(outcome).not.toHaveBeenCalled()
      await pass(1)
      expect(outcome).toHaveBeenCalledExactlyOnceWith(expect.any(TimeoutError))
    },
  )

  it("gets its full time again when there is time, and leaves no timer behind", async () => {
    const patience = new Patience(30_000)
    patience.hurry()
    patience.hurry()
    expect(patience.isHurried).toBe(true)
    patience.takeTime()
    expect(patience.isHurried).toBe(false)
    const outcome = vi.fn()
    void patience.inTime(never()).catch(outcome)
    await pass(9999)
    expect(outcome).not.toHaveBeenCalled()
    await pass(1)
    expect(outcome).toHaveBeenCalledOnce()
    expect(await patience.inTime(Promise.resolve("answer"))).toBe("answer")
    expect(vi.getTimerCount()).toBe(0)
  })
})
