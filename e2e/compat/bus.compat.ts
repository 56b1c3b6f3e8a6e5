/** `OutboxEventBus`: what it is made of, emitting, and handlers. */
import { DuplicateListenerError, type OutboxError, OutboxEventBus } from "outbox-event-bus"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { anEvent, RecordingOutbox } from "./recording-outbox.ts"

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

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

describe("the constructor", () => {
  it("takes an error handler, or options", () => {
    const onError = vi.fn()
    for (const argument of [onError, { onError }, { onError, middlewareConcurrency: 2 }]) {
      expect(new OutboxEventBus(outbox, argument)).toBeInstanceOf(OutboxEventBus)
    }
  })

  it("runs emit middleware for 10 events at once unless told otherwise", async () => {
    for (const [config, expected] of [
      [{ onError: () => {} }, 10],
      [{ onError: () => {}, middlewareConcurrency: 3 }, 3],
    ] as const) {
      let running = 0
      let most = 0
      const limited = new OutboxEventBus(outbox, config)
      limited.addEmitMiddleware(async (_, next) => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setImmediate(resolve))
        running -= 1
        await next()
      })
      await limited.emitMany(Array.from({ length: 25 }, () => ({ type: "counted", payload: 1 })))
      expect(most).toBe(expected)
    }
  })
})

describe("emit and emitMany", () => {
  it("fill in an id and a time, also where they are explicitly undefined", async () => {
    const before = Date.now()
    await bus.emitMany([
      { type: "a", payload: 1 },
      { type: "b", payload: 2, id: undefined, occurredAt: undefined },
    ])
    const [events = []] = outbox.publish.mock.lastCall ?? []
    expect(events).toEqual([
      { id: expect.stringMatching(UUID), type: "a", payload: 1, occurredAt: expect.any(Date) },
      { id: expect.stringMatching(UUID), type: "b", payload: 2, occurredAt: expect.any(Date) },
    ])
    expect(new Set(events.map(({ id }) => id)).size).toBe(2)
    // A Date of its own for each, since a Date can be changed.
    expect(new Set(events.map(({ occurredAt }) => occurredAt)).size).toBe(2)
    expect(events[0]?.occurredAt.getTime()).toBeGreaterThanOrEqual(before)
  })

  it("keep what is given, with the transaction, in one publish", async () => {
    const events = [anEvent({ id: "1", metadata: { traceId: "t" } }), anEvent({ id: "2" })]
    await bus.emitMany(events, "transaction")
    expect(outbox.publish).toHaveBeenCalledExactlyOnceWith(events, "transaction")
    await bus.emit(anEvent({ id: "3" }), "other")
    expect(outbox.publish).toHaveBeenLastCalledWith([anEvent({ id: "3" })], "other")
  })

  it("publish nothing for an empty list", async () => {
    await bus.emitMany([])
    expect(outbox.publish).not.toHaveBeenCalled()
  })

  it("reject with what the outbox fails with", async () => {
    const failure = new Error("refused")
    outbox.publish.mockRejectedValueOnce(failure)
    await expect(bus.emit({ type: "a", payload: 1 })).rejects.toBe(failure)
  })
})

describe("handlers", () => {
  it("are called with the very event, and with nothing else", async () => {
    const handler = vi.fn(async () => {})
    bus.on("order.placed", handler)
    const event = anEvent()
    await outbox.deliver(event)
    expect(handler).toHaveBeenCalledExactlyOnceWith(event)
    expect((handler.mock.calls as unknown[][])[0]?.[0]).toBe(event)
  })

  it("fail the event when they reject", async () => {
    const failure = new Error("boom")
    bus.on("order.placed", () => Promise.reject(failure))
    await expect(outbox.deliver(anEvent())).rejects.toBe(failure)
  })

  it.each(["on", "addListener", "once"] as const)(
    "%s registers one per type, and returns the bus",
    (method) => {
      const handler = async () => {}
      expect(bus[method]("order.placed", handler)).toBe(bus)
      expect(bus.getListener("order.placed")).toBe(handler)
      const again = () => bus[method]("order.placed", async () => {})
      expect(again).toThrow(DuplicateListenerError)
      expect(again).toThrow(
        'Event type "order.placed" already has a listener. You can only register one handler per event type.',
      )
    },
  )

  it("subscribe registers one handler for several types", async () => {
    const handler = vi.fn(async () => {})
    expect(bus.subscribe(["a", "b"], handler)).toBe(bus)
    await outbox.deliver(anEvent({ type: "a" }))
    await outbox.deliver(anEvent({ type: "b" }))
    expect(handler).toHaveBeenCalledTimes(2)
    expect(() => bus.subscribe(["c", "b"], handler)).toThrow(DuplicateListenerError)
  })

  it.each(["off", "removeListener"] as const)(
    "%s removes a handler, also one of once, and returns the bus",
    (method) => {
      const handler = async () => {}
      for (const add of ["on", "once"] as const) {
        bus[add]("order.placed", handler)
        bus[method]("order.placed", async () => {})
        expect(bus.listenerCount("order.placed")).toBe(1)
        expect(bus[method]("order.placed", handler)).toBe(bus)
        expect(bus.listenerCount("order.placed")).toBe(0)
      }
    },
  )

  it("are counted and named", () => {
    bus.subscribe(["a", "b"], async () => {})
    bus.on("c", async () => {})
    expect(bus.getSubscriptionCount()).toBe(3)
    expect(bus.eventNames()).toEqual(["a", "b", "c"])
    expect(bus.listenerCount("a")).toBe(1)
    expect(bus.listenerCount("d")).toBe(0)
    expect(bus.getListener("d")).toBeUndefined()
    expect(bus.removeAllListeners("a")).toBe(bus)
    expect(bus.eventNames()).toEqual(["b", "c"])
    expect(bus.removeAllListeners()).toBe(bus)
    expect(bus.getSubscriptionCount()).toBe(0)
  })

  it("of once run until they have succeeded, and keep their slot meanwhile", async () => {
    const handler = vi.fn().mockRejectedValueOnce(new Error("boom")).mockResolvedValue(undefined)
    bus.once("order.placed", handler)
    await expect(outbox.deliver(anEvent())).rejects.toThrow("boom")
    expect(bus.listenerCount("order.placed")).toBe(1)
    await outbox.deliver(anEvent())
    expect(bus.listenerCount("order.placed")).toBe(0)
    expect(handler).toHaveBeenCalledTimes(2)
  })

  it("that don't exist let an event count as handled, which is reported once per type", async () => {
    await outbox.deliver(anEvent({ id: "1", type: "nobody.1" }))
    await outbox.deliver(anEvent({ id: "2", type: "nobody.1" }))
    await outbox.deliver(anEvent({ id: "3", type: "nobody.2" }))
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringContaining("nobody.1"),
      expect.stringContaining("nobody.2"),
    ])
  })
})
