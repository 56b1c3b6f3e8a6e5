import { TimeoutError } from "outbox-event-bus"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { Patience } from "./patience.ts"

const never = () => new Promise<never>(() => {})

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

describe("an answer under way", () => {
  it("is given up five seconds after a hurry begins, also when it was asked for before", async () => {
    const patience = new Patience(30_000)
    const outcome = vi.fn()
    void patience.inTime(never()).catch(outcome)
    await vi.advanceTimersByTimeAsync(2000)
    patience.hurry()
    await vi.advanceTimersByTimeAsync(4999)
    expect(outcome).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect(outcome).toHaveBeenCalledExactlyOnceWith(expect.any(TimeoutError))
  })

  it("gets five seconds when it is asked for in a hurry, however old that is", async () => {
    const patience = new Patience(30_000)
    patience.hurry()
    await vi.advanceTimersByTimeAsync(60_000)
    const outcome = vi.fn()
    void patience.inTime(never()).catch(outcome)
    await vi.advanceTimersByTimeAsync(4999)
    expect(outcome).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect(outcome).toHaveBeenCalledOnce()
  })

  it.each([1, 30_000, 3_600_000])(
    "gets ten seconds with a lease of %i ms, so that a usual one has room for another try",
    async (leaseMs) => {
      const patience = new Patience(leaseMs)
      const outcome = vi.fn()
      void patience.inTime(never()).catch(outcome)
      await vi.advanceTimersByTimeAsync(9999)
      expect(outcome).not.toHaveBeenCalled()
      await vi.advanceTimersByTimeAsync(1)
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
    await vi.advanceTimersByTimeAsync(9999)
    expect(outcome).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect(outcome).toHaveBeenCalledOnce()
    expect(await patience.inTime(Promise.resolve("answer"))).toBe("answer")
    expect(vi.getTimerCount()).toBe(0)
  })
})
