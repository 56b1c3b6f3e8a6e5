// Stopping, and calls through objects that wrap the outbox.

import { describe, expect, it, vi } from "vitest"
import { type Deferred, deferred } from "./deferred.fixture.ts"
import type { BusEvent } from "./event.ts"
import {
  advance,
  handled,
  handler,
  named,
  onError,
  outbox,
  useOutboxOnFakeClock,
} from "./in-memory-outbox.fixture.ts"
import { InMemoryOutbox } from "./in-memory-outbox.ts"
import { OutboxEventBus } from "./outbox-event-bus.ts"

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

useOutboxOnFakeClock()

describe.each<[string, (outbox: InMemoryOutbox) => InMemoryOutbox]>([
  ["a Proxy", (original) => new Proxy(original, {})],
  ["Object.create", (original) => Object.create(original)],
])("through %s", (_, wrap) => {
  it("the outbox works, also where some calls go to the wrapped object", async () => {
    const wrapped = wrap(outbox)
    await outbox.publish(named("a"))
    handler.mockRejectedValue(new Error("no stock"))
    wrapped.start(handler, onError)
    await wrapped.publish(named("b"))
    await wrapped.stop()
    expect(onError).toHaveBeenCalledTimes(8)
    handler.mockReset().mockResolvedValue(undefined)
    await wrapped.retryEvents(["a"])
    expect(await outbox.getFailedEvents()).toMatchObject([{ id: "b" }])
    outbox.start(handler, onError)
    await wrapped.stop()
    expect(handled()).toEqual(["a"])
  })
})

describe("stop", () => {
  it("resolves before start, without delivering", async () => {
    await outbox.publish(named("a"))
    await outbox.stop()
    expect(handler).not.toHaveBeenCalled()
  })

  it("waits for the handler that runs and delivers what is queued", async () => {
    const work = deferred()
    handler.mockReturnValueOnce(work.promise)
    await outbox.publish(named("a"))
    outbox.start(handler, onError)
    await outbox.publish(named("b"))
    const stopped = vi.fn()
    const stop = outbox.stop().then(stopped)
    await advance(1000)
    expect(stopped).not.toHaveBeenCalled()
    work.resolve()
    await stop
    expect(handled()).toEqual(["a", "b"])
  })

  it("ends with a handler that always fails: the events are dead letters then", async () => {
    handler.mockRejectedValue(new Error("no stock"))
    outbox.start(handler, onError)
    await outbox.publish(named("a", "b"))
    await outbox.stop()
    expect(handler).toHaveBeenCalledTimes(8)
    expect(await outbox.getFailedEvents()).toHaveLength(2)
  })

  it("delivers what handlers publish meanwhile, and what they publish then", async () => {
    handler.mockImplementation(async ({ id }) => {
      if (id.length < 5) await outbox.publish(named(`${id}+`))
    })
    outbox.start(handler, onError)
    await advance(0)
    await outbox.publish(named("a"))
    await outbox.stop()
    expect(handled()).toEqual(["a", "a+", "a++", "a+++", "a++++"])
  })

  it("right after start delivers what is queued", async () => {
    const bus = new OutboxEventBus(outbox, onError)
    bus.on("order.placed", handler)
    for (const round of [1, 2, 3]) {
      await bus.emitMany(named(`a${round}`, `b${round}`))
      bus.start()
      await bus.stop()
    }
    expect(handled()).toEqual(["a1", "b1", "a2", "b2", "a3", "b3"])
  })

  it("leaves what is left to a start before it has resolved", async () => {
    const next = vi.fn<(event: BusEvent) => Promise<void>>(async () => {})
    const work = deferred()
    handler.mockImplementation(() => work.promise)
    outbox.start(handler, onError)
    await advance(0)
    await outbox.publish(named("a"))
    const stop = outbox.stop()
    await advance(0)
    outbox.start(next, onError)
    await outbox.publish(named("b"))
    work.resolve()
    await stop
    await advance(10)
    expect(handled()).toEqual(["a"])
    expect(next.mock.calls.map(([{ id }]) => id)).toEqual(["b"])
  })

  it("inside a handler does not wait for that handler, and says so; all the same, it drains and ends", async () => {
    const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
    handler.mockImplementationOnce(async () => {
      await delay(5)
      await outbox.stop()
      await outbox.publish(named("b"))
    })
    await outbox.publish(named("a"))
    outbox.start(handler, onError)
    await advance(5)
    await outbox.stop()
    expect(handled()).toEqual(["a", "b"])
    expect(onError).not.toHaveBeenCalled()
    expect(emitWarning).toHaveBeenCalledExactlyOnceWith(
      expect.stringContaining("inside a handler"),
      expect.objectContaining({ code: "OUTBOX_STOP_INSIDE_HANDLER" }),
    )
  })

  it("called by a timer that a handler has left behind waits as ever", async () => {
    const work = deferred()
    const stopped = vi.fn()
    handler.mockImplementationOnce(async () => {
      setTimeout(() => void outbox.stop().then(stopped), 20)
    })
    handler.mockImplementationOnce(() => work.promise)
    await outbox.publish(named("a", "b"))
    outbox.start(handler, onError)
    await advance(1000)
    expect(stopped).not.toHaveBeenCalled()
    work.resolve()
    await advance(0)
    expect(stopped).toHaveBeenCalledOnce()
  })

  it("called by a handler of another outbox waits as ever", async () => {
    const work = deferred()
    const stopped = vi.fn()
    const other = new InMemoryOutbox()
    handler.mockImplementationOnce(() => work.promise)
    await outbox.publish(named("a"))
    outbox.start(handler, onError)
    await other.publish(named("b"))
    other.start(async () => void outbox.stop().then(stopped), onError)
    await advance(1000)
    expect(stopped).not.toHaveBeenCalled()
    work.resolve()
    await other.stop()
    await advance(0)
    expect(stopped).toHaveBeenCalledOnce()
  })

  it("and a start that does not wait for it never run two handlers at once", async () => {
    const running: Deferred[] = []
    handler.mockImplementation(() => {
      const work = deferred()
      running.push(work)
      return work.promise
    })
    outbox.start(handler, onError)
    await advance(0)
    await outbox.publish(named("drained", "drained too"))
    const stop = outbox.stop()
    await advance(0)
    outbox.start(handler, onError)
    await outbox.publish(named("of the next start"))
    await advance(1000)
    expect(handled()).toEqual(["drained"])
    running[0]?.resolve()
    await advance(0)
    expect(handled()).toEqual(["drained", "drained too"])
    running[1]?.resolve()
    await stop
    await advance(0)
    expect(handled()).toEqual(["drained", "drained too", "of the next start"])
    running[2]?.resolve()
  })
})
