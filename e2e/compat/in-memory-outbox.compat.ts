/** `InMemoryOutbox`, with which users test. */
import {
  HandlerError,
  InMemoryOutbox,
  MaxRetriesExceededError,
  type OutboxError,
  OutboxEventBus,
} from "outbox-event-bus"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { anEvent } from "./recording-outbox.ts"

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms)

function createBus(outbox: InMemoryOutbox) {
  const errors: OutboxError[] = []
  const bus = new OutboxEventBus(outbox, (error) => errors.push(error))
  return { bus, errors }
}

it("polls every 10 ms", async () => {
  const { bus } = createBus(new InMemoryOutbox())
  const handler = vi.fn(async () => {})
  bus.on("order.placed", handler)
  bus.start()
  await pass(5)
  await bus.emit(anEvent())
  await pass(4)
  expect(handler).not.toHaveBeenCalled()
  await pass(1)
  expect(handler).toHaveBeenCalledOnce()
  await bus.stop()
})

describe.each([
  [undefined, 3],
  [{}, 3],
  [{ maxRetries: 1 }, 1],
  [{ maxRetries: 0 }, 0],
])("with %o", (config, maxRetries) => {
  it(`runs a handler that fails ${maxRetries + 1} times, then lists the event`, async () => {
    const { bus, errors } = createBus(new InMemoryOutbox(config))
    const handler = vi.fn(async () => {
      throw new Error(`boom ${handler.mock.calls.length}`)
    })
    bus.on("order.placed", handler)
    bus.start()
    await bus.emit(anEvent())
    await pass(1000)
    await bus.stop()
    expect(handler).toHaveBeenCalledTimes(maxRetries + 1)
    expect(errors.map((error) => error.constructor)).toEqual([
      ...Array.from({ length: maxRetries }, () => HandlerError),
      MaxRetriesExceededError,
    ])
    expect(errors.at(-1)).toMatchObject({ event: { id: "event-1", retryCount: maxRetries + 1 } })
    expect(await bus.getFailedEvents()).toEqual([
      {
        ...anEvent(),
        error: `boom ${maxRetries + 1}`,
        retryCount: maxRetries,
        lastAttemptAt: expect.any(Date),
      },
    ])
  })
})

it("lists failed events in the order in which they failed, and retries those that are named", async () => {
  const { bus } = createBus(new InMemoryOutbox({ maxRetries: 0 }))
  let works = false
  const handled: string[] = []
  bus.on("order.placed", async ({ id }) => {
    if (!works) throw new Error("boom")
    handled.push(id)
  })
  await bus.emitMany(["2", "1", "3"].map((id) => anEvent({ id })))
  bus.start()
  await pass(10)
  expect((await bus.getFailedEvents()).map(({ id }) => id)).toEqual(["2", "1", "3"])
  works = true
  await bus.retryEvents(["1", "unknown"])
  await pass(10)
  expect(handled).toEqual(["1"])
  expect((await bus.getFailedEvents()).map(({ id }) => id)).toEqual(["2", "3"])
  await bus.stop()
})

it("tries failed events in the next round, in front of what was published meanwhile", async () => {
  const { bus } = createBus(new InMemoryOutbox())
  const handled: string[] = []
  bus.on("order.placed", async ({ id }) => {
    handled.push(id)
    if (handled.length === 1) {
      await bus.emit(anEvent({ id: "later" }))
      throw new Error("boom")
    }
  })
  await bus.emitMany([anEvent({ id: "fails" }), anEvent({ id: "other" })])
  bus.start()
  await pass(100)
  await bus.stop()
  expect(handled).toEqual(["fails", "other", "fails", "later"])
})

it("stop drains what is queued, and what handlers emit meanwhile", async () => {
  const { bus } = createBus(new InMemoryOutbox())
  const handled: unknown[] = []
  bus.on("chain", async ({ payload }) => {
    handled.push(payload)
    if (Number(payload) < 3) await bus.emit({ type: "chain", payload: Number(payload) + 1 })
  })
  bus.start()
  await pass(10)
  await bus.emit({ type: "chain", payload: 1 })
  await bus.stop()
  expect(handled).toEqual([1, 2, 3])
})

it("hands over a copy per delivery", async () => {
  const { bus } = createBus(new InMemoryOutbox())
  const payload = { lines: [1] }
  const seen: unknown[] = []
  bus.on<"order.placed", typeof payload>("order.placed", async (event) => {
    seen.push(structuredClone(event.payload))
    event.payload.lines.push(2)
    if (seen.length === 1) throw new Error("boom")
  })
  bus.start()
  await bus.emit({ type: "order.placed", payload })
  payload.lines.push(3)
  await pass(100)
  await bus.stop()
  expect(seen).toEqual([{ lines: [1] }, { lines: [1] }])
})

it("onError is public, and set anew by a second start", async () => {
  const outbox = new InMemoryOutbox({ maxRetries: 0 })
  const [first, second] = [vi.fn(), vi.fn()]
  const fail = () => Promise.reject(new Error("boom"))
  outbox.start(fail, first)
  outbox.start(fail, second)
  await outbox.publish([anEvent()])
  await pass(10)
  await outbox.stop()
  expect(first).not.toHaveBeenCalled()
  expect(second).toHaveBeenCalledExactlyOnceWith(expect.any(MaxRetriesExceededError))
  expect(outbox.onError).toBeTypeOf("function")
})
