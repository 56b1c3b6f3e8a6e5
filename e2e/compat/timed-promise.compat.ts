/** `createTimedPromise`. */
import { createTimedPromise, TimeoutError } from "outbox-event-bus"
import { afterEach, beforeEach, expect, it, vi } from "vitest"

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const create = () => createTimedPromise<string>(100, () => new TimeoutError("the response", 100))

it.each([
  ["a value", "value"],
  ["a promise", Promise.resolve("value")],
  // biome-ignore lint/suspicious/noThenProperty: that is what a PromiseLike is
  ["a PromiseLike", { then: (resolve: (value: string) => void) => resolve("value") } as PromiseLike<string>],
])("resolves with %s", async (_, value) => {
  const timed = create()
  const promise = timed.start()
  timed.resolve(value)
  expect(await promise).toBe("value")
})

it("rejects with an error, or with none", async () => {
  const failure = new Error("boom")
  for (const [given, expected] of [
    [[failure], failure],
    [[], undefined],
  ] as const) {
    const timed = create()
    const outcome = timed.start().then(
      () => "fulfilled",
      (error: unknown) => error,
    )
    timed.reject(...given)
    expect(await outcome).toBe(expected)
  }
})

it("rejects when the time has passed since start", async () => {
  const timed = create()
  await vi.advanceTimersByTimeAsync(1000)
  const outcome = timed.start().catch((error: unknown) => error)
  await vi.advanceTimersByTimeAsync(99)
  expect(vi.getTimerCount()).toBe(1)
  await vi.advanceTimersByTimeAsync(1)
  expect(await outcome).toBeInstanceOf(TimeoutError)
})

it("runs each cleanup once, whatever the outcome, and clears its timer", async () => {
  for (const settle of ["resolve", "reject"] as const) {
    const timed = create()
    const cleanup = vi.fn()
    timed.addCleanup(cleanup)
    const outcome = timed.start().catch(() => {})
    timed[settle]("x")
    timed[settle]("y")
    await outcome
    expect(cleanup).toHaveBeenCalledOnce()
    expect(vi.getTimerCount()).toBe(0)
  }
})

it("rejects when a cleanup throws", async () => {
  const timed = create()
  const failure = new Error("boom")
  timed.addCleanup(() => {
    throw failure
  })
  const outcome = timed.start().catch((error: unknown) => error)
  timed.resolve("value")
  expect(await outcome).toBe(failure)
})
