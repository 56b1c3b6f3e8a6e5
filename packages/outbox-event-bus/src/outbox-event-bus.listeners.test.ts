// Handlers: registration, once, waitFor, and what can be asked about them.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { deferred } from "./deferred.fixture.ts"
import { DuplicateListenerError, TimeoutError } from "./errors.ts"
import { anEvent, ManualOutbox } from "./manual-outbox.fixture.ts"
import { OutboxEventBus } from "./outbox-event-bus.ts"
import { RELEASE } from "./release.ts"

let outbox: ManualOutbox
let bus: OutboxEventBus<string>
const handler = vi.fn(async () => {})
const other = vi.fn(async () => {})

beforeEach(() => {
  outbox = new ManualOutbox()
  bus = new OutboxEventBus(outbox, () => {})
  bus.start()
  handler.mockReset()
  other.mockReset()
})

describe.each(["on", "addListener"] as const)("%s", (method) => {
  it("registers the handler of a type, returns the bus", async () => {
    expect(bus[method]("a", handler)).toBe(bus)
    await outbox.deliver({ type: "a", payload: 1 })
    await outbox.deliver({ type: "a", payload: 2 })
    expect(handler.mock.calls).toEqual([
      [anEvent({ type: "a", payload: 1 })],
      [anEvent({ type: "a", payload: 2 })],
    ])
  })

  it("refuses a second handler, even the same", () => {
    bus[method]("a", handler)
    expect(() => bus[method]("a", other)).toThrow(DuplicateListenerError)
    expect(() => bus[method]("a", handler)).toThrow(DuplicateListenerError)
    expect(bus.getListener("a")).toBe(handler)
  })
})

describe("a missing function", () => {
  it.each(["on", "once", "addListener"] as const)(
    "is refused by %s, by its type and what to write",
    (method) => {
      expect(() => bus[method]("a", undefined as never)).toThrow(
        'The handler of event type "a" is undefined. Allowed: a function',
      )
      expect(() => bus.subscribe(["b"], null as never)).toThrow('The handler of event type "b" is null.')
      expect(bus.eventNames()).toEqual([])
    },
  )
})

describe("an event", () => {
  it.each<[string, () => Promise<void>]>([
    ["rejects", () => Promise.reject(new Error("no stock"))],
    [
      "throws",
      () => {
        throw new Error("no stock")
      },
    ],
  ])("fails when its handler %s", async (_, failing) => {
    bus.on("a", failing)
    await expect(outbox.deliver({ type: "a" })).rejects.toThrow("no stock")
  })

  it("is handled only when its handler has ended", async () => {
    const work = deferred()
    bus.on("a", () => work.promise)
    const handled = vi.fn()
    const delivery = outbox.deliver({ type: "a" }).then(handled)
    await new Promise(setImmediate)
    expect(handled).not.toHaveBeenCalled()
    work.resolve()
    await delivery
  })
})

describe.each(["off", "removeListener"] as const)("%s", (method) => {
  it("removes the handler given, returns the bus", async () => {
    bus.on("a", handler)
    expect(bus[method]("a", handler)).toBe(bus)
    await outbox.deliver({ type: "a" })
    expect(handler).not.toHaveBeenCalled()
    bus.on("a", other)
  })

  it("removes what getListener returned", () => {
    bus.on("a", handler)
    const listener = bus.getListener("a")
    if (listener) bus[method]("a", listener)
    expect(bus.listenerCount("a")).toBe(0)
  })

  it("leaves another handler, and another type, alone", () => {
    bus.on("a", handler).on("b", other)
    bus[method]("a", other)[method]("c", handler)
    expect(bus.eventNames()).toEqual(["a", "b"])
  })

  it("removes a once handler by the original function", async () => {
    bus.once("a", handler)
    bus[method]("a", handler)
    await outbox.deliver({ type: "a" })
    expect(handler).not.toHaveBeenCalled()
  })
})

describe("once", () => {
  it("handles one event, returns the bus", async () => {
    expect(bus.once("a", handler)).toBe(bus)
    await outbox.deliver({ type: "a" })
    await outbox.deliver({ type: "a" })
    expect(handler).toHaveBeenCalledOnce()
    expect(bus.listenerCount("a")).toBe(0)
  })

  it("is the type's one handler", () => {
    bus.once("a", handler)
    expect(() => bus.on("a", other)).toThrow(DuplicateListenerError)
    expect(() => bus.once("a", other)).toThrow(DuplicateListenerError)
    expect(bus.getListener("a")).toBe(handler)
  })

  it("stays until it has succeeded, so that a retry reaches it", async () => {
    handler.mockRejectedValueOnce(new Error("no stock"))
    bus.once("a", handler)
    await expect(outbox.deliver({ type: "a" })).rejects.toThrow("no stock")
    expect(bus.listenerCount("a")).toBe(1)
    await outbox.deliver({ type: "a" })
    await outbox.deliver({ type: "a" })
    expect(handler).toHaveBeenCalledTimes(2)
  })

  it("keeps its slot while it runs: further events of the type fail, none is completed unseen", async () => {
    const work = deferred()
    handler.mockReturnValue(work.promise)
    bus.once("a", handler)
    const first = outbox.deliver({ type: "a" })
    await expect(outbox.deliver({ type: "a" })).rejects.toThrow('once() handler of event type "a" still runs')
    expect(handler).toHaveBeenCalledOnce()
    expect(bus.listenerCount("a")).toBe(1)
    expect(() => bus.on("a", other)).toThrow(DuplicateListenerError)
    work.resolve()
    await first
    expect(bus.listenerCount("a")).toBe(0)
  })

  it("has further events released while it runs, where the outbox can do that", async () => {
    const releasing = Object.assign(new ManualOutbox(), { [RELEASE]: true })
    const bus = new OutboxEventBus(releasing, () => {})
    bus.start()
    const work = deferred()
    bus.once("a", () => work.promise)
    const first = releasing.deliver({ type: "a" })
    await expect(releasing.deliver({ type: "a" })).rejects.toMatchObject({ [RELEASE]: true })
    work.resolve()
    await first
  })

  it("leaves a successor alone that took its place while it ran", async () => {
    bus.once("a", async () => {
      bus.removeAllListeners("a")
      bus.on("a", other)
    })
    await outbox.deliver({ type: "a" })
    expect(bus.getListener("a")).toBe(other)
  })

  it("does not come back after a failure when it was removed meanwhile", async () => {
    const failing = async () => {
      bus.off("a", failing)
      throw new Error("no stock")
    }
    bus.once("a", failing)
    await expect(outbox.deliver({ type: "a" })).rejects.toThrow("no stock")
    expect(bus.listenerCount("a")).toBe(0)
  })
})

describe("subscribe", () => {
  it("registers one handler for several types, returns the bus", async () => {
    expect(bus.subscribe(["a", "b"], handler)).toBe(bus)
    await outbox.deliver({ type: "a" })
    await outbox.deliver({ type: "b" })
    expect(handler).toHaveBeenCalledTimes(2)
    bus.off("a", handler)
    expect(bus.eventNames()).toEqual(["b"])
  })

  it.each([
    ["a type has a handler", ["a", "taken"]],
    ["a type is given twice", ["a", "b", "a"]],
  ])("registers nothing when %s", (_, types) => {
    bus.on("taken", other)
    expect(() => bus.subscribe(types, handler)).toThrow(DuplicateListenerError)
    expect(bus.eventNames()).toEqual(["taken"])
  })
})

describe("removeAllListeners", () => {
  beforeEach(() => void bus.on("a", handler).once("b", handler))

  it("removes the handler of one type, returns the bus", () => {
    expect(bus.removeAllListeners("a")).toBe(bus)
    expect(bus.eventNames()).toEqual(["b"])
  })

  it("removes all without a type", () => {
    bus.removeAllListeners()
    expect(bus.getSubscriptionCount()).toBe(0)
  })
})

it("tells what is registered", () => {
  expect(bus.getSubscriptionCount()).toBe(0)
  expect(bus.eventNames()).toEqual([])
  bus.subscribe(["a", "b"], handler).once("c", other)
  expect(bus.getSubscriptionCount()).toBe(3)
  expect(bus.eventNames()).toEqual(["a", "b", "c"])
  expect(bus.listenerCount("a")).toBe(1)
  expect(bus.listenerCount("d")).toBe(0)
  expect(bus.getListener("c")).toBe(other)
  expect(bus.getListener("d")).toBeUndefined()
})

describe("waitFor", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
  })

  it("resolves with the next event of the type, and frees the slot", async () => {
    const waiting = bus.waitFor("a")
    await outbox.deliver({ type: "b" })
    await outbox.deliver({ type: "a", payload: 1 })
    await expect(waiting).resolves.toEqual(anEvent({ type: "a", payload: 1 }))
    bus.on("a", handler)
  })

  it.each([
    [undefined, 5000],
    [50, 50],
  ])("given %o ms, rejects after %i ms with a TimeoutError, and frees the slot", async (timeoutMs, after) => {
    const onRejected = vi.fn()
    const waiting = bus.waitFor("a", timeoutMs).catch(onRejected)
    await vi.advanceTimersByTimeAsync(after - 1)
    expect(onRejected).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    await waiting
    expect(onRejected.mock.calls[0]?.[0]).toBeInstanceOf(TimeoutError)
    expect(onRejected.mock.calls[0]?.[0].message).toBe(`Timed out waiting for event "a" after ${after}ms`)
    bus.on("a", handler)
  })

  it("takes the slot from the moment of the call", async () => {
    const waiting = bus.waitFor("a")
    expect(() => bus.on("a", handler)).toThrow(DuplicateListenerError)
    await outbox.deliver({ type: "a" })
    await waiting
  })

  it("rejects when the slot is taken, and leaves the handler there", async () => {
    bus.on("a", handler)
    await expect(bus.waitFor("a")).rejects.toThrow(DuplicateListenerError)
    expect(bus.getListener("a")).toBe(handler)
  })

  it("rejects for a time that no timer can wait, and takes no slot", async () => {
    await expect(bus.waitFor("a", -1)).rejects.toThrow("timeoutMs")
    expect(bus.listenerCount("a")).toBe(0)
  })
})
