/** When a request is given up: while running, while stopping, and after the process itself could not listen. */
import { TimeoutError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { RequestDeadline } from "./request-deadline.ts"

const never = () => new Promise<never>(() => {})

/** A request without a response, and what becomes of it. */
function send(deadline: RequestDeadline, limitMs?: number) {
  const outcome = vi.fn()
  const signals: AbortSignal[] = []
  deadline
    .within(({ abortSignal }) => {
      signals.push(abortSignal)
      return never()
    }, limitMs)
    .catch(outcome)
  return { outcome, isAborted: () => signals.every(({ aborted }) => aborted) }
}

useFakeClock()

describe("a response that does not come", () => {
  it.each([1, 30_000, 3_600_000])(
    "is waited for ten seconds with a lease of %i ms, so that a usual one has room for a retry",
    async (leaseMs) => {
      const { outcome, isAborted } = send(new RequestDeadline(leaseMs))
      await pass(9999)
      expect(outcome).not.toHaveBeenCalled()
      expect(isAborted()).toBe(false)
      await pass(1)
      expect(outcome).toHaveBeenCalledExactlyOnceWith(new TimeoutError("a response from DynamoDB", 10_000))
      expect(isAborted()).toBe(true)
      expect(vi.getTimerCount()).toBe(0)
    },
  )

  it("is waited for as long as its request says", async () => {
    const deadline = new RequestDeadline(30_000)
    const { outcome } = send(deadline, 300)
    deadline.stop()
    await pass(299)
    expect(outcome).not.toHaveBeenCalled()
    await pass(1)
    expect(outcome).toHaveBeenCalledOnce()
  })

  it("is waited for no longer than others, whatever its request says", async () => {
    const { outcome } = send(new RequestDeadline(30_000), 60_000)
    await pass(10_000)
    expect(outcome).toHaveBeenCalledExactlyOnceWith(new TimeoutError("a response from DynamoDB", 10_000))
  })
})

describe("while stopping", () => {
  it("a request under way is given up after five seconds more, those of the second half at the bound", async () => {
    const deadline = new RequestDeadline(30_000)
    const before = send(deadline)
    await pass(2000)
    deadline.stop()
    deadline.stop()
    await pass(4999)
    expect(before.outcome).not.toHaveBeenCalled()
    await pass(1)
    expect(before.outcome).toHaveBeenCalledExactlyOnceWith(expect.any(TimeoutError))
    const after = send(deadline)
    await pass(4499)
    expect(after.outcome).not.toHaveBeenCalled()
    await pass(1)
    expect(after.outcome).toHaveBeenCalledOnce()
  })

  it("a request about to be given up is not given more time", async () => {
    const deadline = new RequestDeadline(30_000)
    const { outcome } = send(deadline)
    await pass(8000)
    deadline.stop()
    await pass(2000)
    expect(outcome).toHaveBeenCalledOnce()
  })

  it("the bound counts from the end of the last handler", async () => {
    const deadline = new RequestDeadline(30_000)
    deadline.stop()
    await pass(60_000)
    deadline.handlerEnded()
    expect(deadline.leftToRetry(performance.now())).toBe(9500)
    const { outcome } = send(deadline)
    await pass(4999)
    expect(outcome).not.toHaveBeenCalled()
    await pass(1)
    expect(outcome).toHaveBeenCalledOnce()
  })

  it("started again, requests get their full time, and nothing is left behind", async () => {
    const deadline = new RequestDeadline(30_000)
    deadline.stop()
    deadline.restart()
    deadline.handlerEnded()
    expect(deadline.leftToRetry(performance.now())).toBe(30_000)
    const { outcome } = send(deadline)
    await pass(9999)
    expect(outcome).not.toHaveBeenCalled()
    await pass(1)
    expect(outcome).toHaveBeenCalledOnce()
    expect(await deadline.within(() => Promise.resolve("response"))).toBe("response")
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe("a process that could not listen", () => {
  /** Blocks the process: the clock moves on, and no timer fires. */
  const block = (ms: number) => {
    const start = performance.now()
    vi.spyOn(performance, "now").mockImplementation(() => start + ms)
  }

  it("reads what arrived meanwhile, before it takes the response for missing", async () => {
    const deadline = new RequestDeadline(30_000)
    const { outcome } = send(deadline, 100)
    block(10_500)
    await pass(100)
    expect(outcome).not.toHaveBeenCalled()
    await pass(1001)
    expect(outcome).toHaveBeenCalledOnce()
  })

  it("reads what has arrived, however short the block: input comes after timers", async () => {
    vi.useRealTimers()
    const deadline = new RequestDeadline(30_000)
    const arrives = Date.now() + 20
    const response = new Promise((resolve) => setTimeout(() => setImmediate(resolve, "response"), 20))
    const received = deadline.within(() => response as Promise<string>, 21)
    while (Date.now() < arrives + 10);
    expect(await received).toBe("response")
  })
})
