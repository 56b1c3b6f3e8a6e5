// Events that a handler has released: they are released without counting an attempt, and come again after a pause.

import { afterEach, beforeEach, expect, it, vi } from "vitest"
import type { OutboxError } from "./errors.ts"
import type { BusEvent } from "./event.ts"
import { InMemoryOutbox } from "./in-memory-outbox.ts"
import { anEvent } from "./manual-outbox.fixture.ts"

// As another package would write it.
const RELEASE = Symbol.for("outbox-event-bus/release")
const release = Object.assign(new Error("not here"), { [RELEASE]: true })

const handler = vi.fn<(event: BusEvent) => Promise<void>>()
const onError = vi.fn<(error: OutboxError) => void>()
const handled = () => handler.mock.calls.map(([{ id }]) => id)
const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms)
let outbox: InMemoryOutbox

beforeEach(() => {
  vi.useFakeTimers()
  handler.mockReset().mockResolvedValue(undefined)
  onError.mockReset()
  outbox = new InMemoryOutbox({ maxRetries: 1 })
})
afterEach(async () => {
  await outbox.stop()
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

it("the outbox says that it can release", () => {
  expect((outbox as unknown as Record<symbol, unknown>)[RELEASE]).toBe(true)
})

it("a released event comes again after a pause, uncounted and unreported, ahead of newer ones", async () => {
  for (let i = 0; i < 2; i += 1) handler.mockRejectedValueOnce(release)
  await outbox.publish([anEvent({ id: "a" })])
  outbox.start(handler, onError)
  await advance(99)
  expect(handled()).toEqual(["a"])
  await outbox.publish([anEvent({ id: "b" })])
  await advance(1)
  expect(handled()).toEqual(["a", "a", "b"])
  await advance(1000)
  expect(handled()).toEqual(["a", "a", "b", "a"])
  expect(onError).not.toHaveBeenCalled()
  expect(await outbox.getFailedEvents()).toEqual([])
})

it("a release keeps the count of the failures before it", async () => {
  handler
    .mockRejectedValueOnce(new Error("1"))
    .mockRejectedValueOnce(release)
    .mockRejectedValueOnce(new Error("2"))
  await outbox.publish([anEvent({ id: "a" })])
  outbox.start(handler, onError)
  await advance(1000)
  expect(handled()).toEqual(["a", "a", "a"])
  expect(onError.mock.calls.map(([{ name }]) => name)).toEqual(["HandlerError", "MaxRetriesExceededError"])
})

it("stop resolves although every event is released, and leaves them to the next start", async () => {
  handler.mockRejectedValue(release)
  await outbox.publish([anEvent({ id: "a" }), anEvent({ id: "b" })])
  outbox.start(handler, onError)
  await outbox.stop()
  expect(handled()).toEqual(["a", "b"])
  handler.mockReset().mockResolvedValue(undefined)
  outbox.start(handler, onError)
  await advance(1000)
  expect(handled()).toEqual(["a", "b"])
})

it.each<[string, unknown]>([
  ["undefined", undefined],
  ["a marker that is not true", { [RELEASE]: 1 }],
  [
    "a marker that throws",
    Object.defineProperty(new Error("no stock"), RELEASE, {
      get: () => {
        throw new Error("hands off")
      },
    }),
  ],
])("%s is an ordinary failure", async (_, thrown) => {
  handler.mockImplementationOnce(async () => {
    throw thrown
  })
  await outbox.publish([anEvent({ id: "a" })])
  outbox.start(handler, onError)
  await advance(10)
  expect(handled()).toEqual(["a", "a"])
  expect(onError).toHaveBeenCalledOnce()
})
