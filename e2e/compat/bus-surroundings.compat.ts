/** `OutboxEventBus` among other things: `waitFor`, the outbox behind it, and the ways in which users wrap it. */
import {
  type BusEvent,
  ConfigurationError,
  type IOutbox,
  type IOutboxEventBus,
  type OutboxError,
  OutboxEventBus,
  TimeoutError,
  UnsupportedOperationError,
} from "outbox-event-bus"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { TracingBus } from "./programs/wrapped-bus.ts"
import { anEvent, RecordingOutbox } from "./recording-outbox.ts"

let outbox: RecordingOutbox
let errors: OutboxError[]
let bus: OutboxEventBus<string>

beforeEach(() => {
  outbox = new RecordingOutbox()
  errors = []
  bus = new OutboxEventBus(outbox, (error) => errors.push(error))
  bus.start()
})
afterEach(() => {
  vi.useRealTimers()
})

describe("waitFor", () => {
  it("resolves with the very event", async () => {
    const event = anEvent()
    const waited = bus.waitFor("order.placed")
    await outbox.deliver(event)
    expect(await waited).toBe(event)
    expect(bus.listenerCount("order.placed")).toBe(0)
  })

  it.each([
    [undefined, 5000],
    [10, 10],
  ])("given %s, rejects after %s ms, and frees the slot it took", async (given, timeoutMs) => {
    vi.useFakeTimers()
    const waited = given === undefined ? bus.waitFor("order.placed") : bus.waitFor("order.placed", given)
    const failure = waited.catch((error: unknown) => error)
    expect(bus.listenerCount("order.placed")).toBe(1)
    await vi.advanceTimersByTimeAsync(timeoutMs - 1)
    expect(bus.listenerCount("order.placed")).toBe(1)
    await vi.advanceTimersByTimeAsync(1)
    const error = (await failure) as TimeoutError
    expect(error).toBeInstanceOf(TimeoutError)
    expect(error.message).toBe(`Timed out waiting for event "order.placed" after ${timeoutMs}ms`)
    expect({ ...error.context }).toMatchObject({ eventType: "order.placed", timeoutMs })
    expect(bus.listenerCount("order.placed")).toBe(0)
  })
})

describe("the outbox behind it", () => {
  it("is started with a handler and the user's onError, and stopped", async () => {
    const failure = new ConfigurationError("from the outbox")
    outbox.start.mock.lastCall?.[1](failure)
    expect(errors).toEqual([failure])
    await bus.stop()
    expect(outbox.stop).toHaveBeenCalledOnce()
  })

  it("lists and retries failed events", async () => {
    outbox.getFailedEvents.mockResolvedValueOnce([{ ...anEvent(), retryCount: 5 }])
    expect(await bus.getFailedEvents()).toEqual([{ ...anEvent(), retryCount: 5 }])
    await bus.retryEvents(["event-1"])
    expect(outbox.retryEvents).toHaveBeenCalledExactlyOnceWith(["event-1"])
  })

  it("may lack these operations", async () => {
    const bare = {
      publish: async () => {},
      start: () => {},
      stop: async () => {},
    } as unknown as IOutbox<unknown>
    const bareBus = new OutboxEventBus(bare, () => {})
    for (const [operation, call] of [
      ["getFailedEvents", () => bareBus.getFailedEvents()],
      ["retryEvents", () => bareBus.retryEvents(["1"])],
    ] as const) {
      const error = await call().catch((failure: unknown) => failure)
      expect(error).toBeInstanceOf(UnsupportedOperationError)
      expect((error as Error).message).toBe(
        `Underlying outbox adapter does not support management operation: ${operation}`,
      )
    }
  })
})

describe("wrapped by users", () => {
  const wrappers: [string, (bus: OutboxEventBus<string>) => IOutboxEventBus<string>][] = [
    ["a Proxy", (target) => new Proxy(target, {})],
    ["an object created from the bus", (target) => Object.create(target)],
  ]
  it.each(wrappers)("%s works as the bus does", async (_, wrap) => {
    const wrapped = wrap(bus)
    const handler = vi.fn(async (_event: BusEvent) => {})
    wrapped.addMiddleware(async (_ctx, next) => next())
    wrapped.on("order.placed", handler)
    wrapped.start()
    await wrapped.emit({ type: "order.placed", payload: 1 })
    await outbox.deliver(anEvent())
    expect(outbox.publish).toHaveBeenCalledOnce()
    expect(handler).toHaveBeenCalledOnce()
    // One state, seen from both sides.
    expect(bus.eventNames()).toEqual(wrapped.eventNames())
    expect(await wrapped.getFailedEvents()).toEqual([])
    await wrapped.stop()
  })

  it("addListener, once and subscribe go through an overridden on, removeListener through off", async () => {
    const tracing = new TracingBus(outbox, () => {})
    const handler = async () => {}
    tracing.addListener("a", handler)
    tracing.once("b", handler)
    tracing.subscribe(["c", "d"], handler)
    expect(tracing.seen).toEqual(["on a", "on b", "on c", "on d"])
    tracing.removeListener("a", handler)
    expect(tracing.seen.at(-1)).toBe("off a")
  })
})
