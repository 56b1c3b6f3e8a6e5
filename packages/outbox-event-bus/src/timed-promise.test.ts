import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from "vitest"
import { ConfigurationError } from "./errors.ts"
import { createTimedPromise } from "./timed-promise.ts"

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const late = new Error("too late")
const create = () => createTimedPromise<number>(100, () => late)

describe("createTimedPromise", () => {
  it("fulfils with the first value and drops the timer", async () => {
    const timed = create()
    const promise = timed.start()
    expectTypeOf(promise).toEqualTypeOf<Promise<number>>()
    timed.resolve(1)
    timed.resolve(2)
    timed.reject(new Error("ignored"))
    await expect(promise).resolves.toBe(1)
  })

  it("rejects with the error given and drops the timer", async () => {
    const timed = create()
    const promise = timed.start()
    const error = new Error("no")
    timed.reject(error)
    await expect(promise).rejects.toBe(error)
  })

  it("rejects with the timeout error timeoutMs after start, not before", async () => {
    const timed = create()
    await vi.advanceTimersByTimeAsync(1000)
    const onRejected = vi.fn()
    timed.start().catch(onRejected)
    await vi.advanceTimersByTimeAsync(99)
    expect(onRejected).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect(onRejected).toHaveBeenCalledExactlyOnceWith(late)
  })

  it("rejects with what the maker of the timeout error throws", async () => {
    const broken = new Error("broken")
    const timed = createTimedPromise(100, () => {
      throw broken
    })
    const rejection = expect(timed.start()).rejects.toBe(broken)
    await vi.advanceTimersByTimeAsync(100)
    await rejection
  })

  it("gives the same promise, with one timer, to a second start", () => {
    const timed = create()
    expect(timed.start()).toBe(timed.start())
    expect(vi.getTimerCount()).toBe(1)
    timed.resolve(0)
  })

  it("may be settled before start, which then begins no timer", async () => {
    const fulfilled = create()
    fulfilled.resolve(1)
    await expect(fulfilled.start()).resolves.toBe(1)
    const rejected = create()
    rejected.reject(late)
    await vi.advanceTimersByTimeAsync(1)
    await expect(rejected.start()).rejects.toBe(late)
  })

  it.each(["resolve", "reject", "time"])("runs each cleanup once, in order, after %s", async (how) => {
    const timed = create()
    const ran: string[] = []
    timed.addCleanup(() => void ran.push("first"))
    timed.addCleanup(() => void ran.push("second"))
    timed.start().catch(() => {})
    expect(ran).toEqual([])
    if (how === "resolve") timed.resolve(1)
    if (how === "reject") timed.reject(late)
    await vi.advanceTimersByTimeAsync(100)
    timed.resolve(2)
    expect(ran).toEqual(["first", "second"])
  })

  it("runs a cleanup at once that comes after the settlement", () => {
    const timed = create()
    timed.resolve(1)
    const cleanup = vi.fn()
    timed.addCleanup(cleanup)
    expect(cleanup).toHaveBeenCalledOnce()
  })

  it("follows a promise that it is resolved with", async () => {
    const timed = create()
    const fulfilled = timed.start()
    timed.resolve(Promise.resolve(1))
    timed.reject(new Error("ignored"))
    await expect(fulfilled).resolves.toBe(1)
    const error = new Error("of the other")
    const rejected = create()
    // biome-ignore lint/suspicious/noThenProperty: anything with a `then` counts as a promise
    const thenable: PromiseLike<number> = { then: (_, reject) => Promise.reject(error).then(null, reject) }
    rejected.resolve(thenable)
    await vi.advanceTimersByTimeAsync(1)
    await expect(rejected.start()).rejects.toBe(error)
  })

  it("may be rejected without an error", async () => {
    const timed = create()
    timed.reject()
    await expect(timed.start()).rejects.toBeUndefined()
  })

  describe("with cleanups that throw", () => {
    const stuck = new Error("stuck")
    const brokenCleanups = (timed: ReturnType<typeof create>) => {
      const last = vi.fn()
      timed.addCleanup(() => {
        throw stuck
      })
      timed.addCleanup(() => {
        throw new Error("stuck too")
      })
      timed.addCleanup(last)
      return last
    }

    beforeEach(() => void vi.spyOn(process, "emitWarning").mockImplementation(() => {}))

    it("rejects with what the first of them throws, and runs the others", async () => {
      const timed = create()
      const last = brokenCleanups(timed)
      timed.resolve(1)
      await expect(timed.start()).rejects.toBe(stuck)
      expect(last).toHaveBeenCalledOnce()
      expect(process.emitWarning).toHaveBeenCalledOnce()
    })

    it.each(["reject", "time"])("keeps the error that was there first, of %s", async (how) => {
      const timed = create()
      const last = brokenCleanups(timed)
      const rejection = expect(timed.start()).rejects.toBe(late)
      if (how === "reject") timed.reject(late)
      await vi.advanceTimersByTimeAsync(100)
      await rejection
      expect(last).toHaveBeenCalledOnce()
      expect(process.emitWarning).toHaveBeenCalledTimes(2)
    })

    it("is not settled by them in another way", async () => {
      const timed = create()
      timed.addCleanup(() => timed.reject(stuck))
      timed.resolve(1)
      await expect(timed.start()).resolves.toBe(1)
    })
  })

  it.each([Number.POSITIVE_INFINITY, 2 ** 31])("waits %d ms as long as timers can", async (timeoutMs) => {
    const timed = createTimedPromise<number>(timeoutMs, () => late)
    const settled = vi.fn()
    const promise = timed.start().finally(settled)
    await vi.advanceTimersByTimeAsync(2 ** 31 - 2)
    expect(settled).not.toHaveBeenCalled()
    timed.resolve(1)
    await promise
  })

  it.each([-1, Number.NaN, "5" as unknown as number])("refuses %o as a time", (timeoutMs) => {
    expect(() => createTimedPromise(timeoutMs, () => late)).toThrow(ConfigurationError)
  })
})
