// What users do with the bus as an object: wrap it, derive from it, and rely on which object reaches a handler.

import { expect, it, vi } from "vitest"
import type { EventHandler } from "./event.ts"
import { anEvent, ManualOutbox } from "./manual-outbox.fixture.ts"
import { OutboxEventBus } from "./outbox-event-bus.ts"

const wraps: [string, (bus: OutboxEventBus) => OutboxEventBus][] = [
  ["a Proxy around the bus", (bus) => new Proxy(bus, {})],
  ["an object created from the bus", (bus) => Object.create(bus)],
]

it.each(wraps)("%s works like the bus", async (_, wrap) => {
  const outbox = new ManualOutbox()
  const bus = new OutboxEventBus(outbox, () => {})
  const wrapped = wrap(bus)
  const handler = vi.fn(async () => {})
  wrapped
    .on("a", handler)
    .once("b", handler)
    .subscribe(["c"], handler)
    .addMiddleware((_, next) => next())
  wrapped.start()
  await wrapped.emit({ type: "a", payload: 1 })
  await wrapped.emitMany([{ type: "b", payload: 1 }])
  expect(outbox.published.map(({ type }) => type)).toEqual(["a", "b"])
  for (const type of ["a", "b", "c"]) await outbox.deliver({ type })
  expect(handler).toHaveBeenCalledTimes(3)
  expect(bus.eventNames()).toEqual(["a", "c"])
  expect(wrapped.eventNames()).toEqual(["a", "c"])
  const waiting = wrapped.waitFor("d")
  await outbox.deliver({ type: "d" })
  await waiting
  wrapped.off("a", handler)
  expect(bus.listenerCount("a")).toBe(0)
  await wrapped.stop()
})

it("registration goes through the on() and off() of a subclass", async () => {
  const calls: string[] = []
  class Audited extends OutboxEventBus {
    override on<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P>): this {
      calls.push(`on ${eventType}`)
      return super.on(eventType, handler)
    }
    override off<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P>): this {
      calls.push(`off ${eventType}`)
      return super.off(eventType, handler)
    }
  }
  const outbox = new ManualOutbox()
  const bus = new Audited(outbox, () => {})
  const handler = vi.fn(async () => {})
  bus.start()
  bus.addListener("a", handler).once("b", handler).subscribe(["c", "d"], handler).removeListener("a", handler)
  expect(calls).toEqual(["on a", "on b", "on c", "on d", "off a"])
  await outbox.deliver({ type: "b" })
  expect(handler).toHaveBeenCalledOnce()
})

it("the very object that the outbox delivers reaches handlers and waitFor", async () => {
  const outbox = new ManualOutbox()
  const bus = new OutboxEventBus(outbox, () => {})
  bus.start()
  const deliver = outbox.start.mock.calls[0]?.[0]
  const handler = vi.fn(async () => {})
  bus.on("a", handler)
  const [event, awaited] = [anEvent({ type: "a" }), anEvent({ type: "b" })]
  await deliver?.(event)
  expect(handler.mock.calls).toEqual([[event]])
  expect((handler.mock.calls[0] as unknown[])[0]).toBe(event)
  const waiting = bus.waitFor("b")
  await deliver?.(awaited)
  expect(await waiting).toBe(awaited)
})

it("a once handler and waitFor() free the type also where a subclass wraps what on() is given", async () => {
  class Traced extends OutboxEventBus<string> {
    override on<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P>): this {
      return super.on<T, P>(eventType, async (event) => handler(event))
    }
  }
  const outbox = new ManualOutbox()
  const bus = new Traced(outbox, () => {})
  bus.start()
  const handler = vi.fn(async () => {})
  bus.once("a", handler)
  expect(bus.getListener("a")).toBe(handler)
  await outbox.deliver({ type: "a" })
  bus.once("b", handler).off("b", handler)
  await expect(bus.waitFor("c", 1)).rejects.toThrow("Timed out")
  expect(bus.eventNames()).toEqual([])
  expect(handler).toHaveBeenCalledOnce()
})
