// Middleware of both phases, as the bus runs it.

import { beforeEach, describe, expect, it, vi } from "vitest"
import { deferred } from "./deferred.fixture.ts"
import { anEvent, ManualOutbox } from "./manual-outbox.fixture.ts"
import type { EmitMiddleware, HandlerMiddleware, Middleware, MiddlewareContext } from "./middleware.ts"
import { OutboxEventBus } from "./outbox-event-bus.ts"

const onError = vi.fn()
let outbox: ManualOutbox
let bus: OutboxEventBus<string>

beforeEach(() => {
  outbox = new ManualOutbox()
  bus = new OutboxEventBus(outbox, onError)
})

describe("middleware", () => {
  const phases: string[] = []
  const note =
    (name: string): Middleware<string> =>
    async (ctx, next) => {
      phases.push(`${ctx.phase} ${name}`)
      await next()
    }

  beforeEach(() => {
    phases.length = 0
    bus.start()
  })

  it("runs in the phases it was added to, in the order added, with the index counted per phase", async () => {
    bus.addMiddleware(note("a"), note("b")).addEmitMiddleware(note("c")).addHandlerMiddleware(note("d"))
    await bus.emit(anEvent())
    await outbox.deliver(anEvent())
    expect(phases).toEqual(["emit a", "emit b", "emit c", "handler a", "handler b", "handler d"])
    bus.addHandlerMiddleware(async () => {})
    await expect(outbox.deliver(anEvent())).rejects.toThrow("Middleware at index 3 must call next()")
  })

  it("receives the transaction in the emit phase, and none in the handler phase", async () => {
    const contexts: MiddlewareContext<string>[] = []
    bus.addMiddleware(async (ctx, next) => {
      contexts.push({ ...ctx })
      await next()
    })
    await bus.emit(anEvent(), "tx")
    await outbox.deliver(anEvent())
    expect(contexts).toEqual([
      { phase: "emit", event: anEvent(), transaction: "tx" },
      { phase: "handler", event: anEvent() },
    ])
  })

  it.each<[string, EmitMiddleware<string> & HandlerMiddleware<string>]>([
    [
      "changed",
      async (ctx, next) => {
        ctx.event.payload = "new"
        await next()
      },
    ],
    [
      "replaced",
      async (ctx, next) => {
        ctx.event = { ...ctx.event, payload: "new" }
        await next()
      },
    ],
  ])("may leave an event %s, in both phases, without touching what was emitted", async (_, middleware) => {
    const handled = vi.fn(async () => {})
    bus.addEmitMiddleware(middleware).addHandlerMiddleware(middleware).on("order.placed", handled)
    const original = anEvent({ payload: "old" })
    await bus.emit(original)
    await outbox.deliver(anEvent({ payload: "old" }))
    expect(outbox.published).toEqual([anEvent({ payload: "new" })])
    expect(handled).toHaveBeenCalledExactlyOnceWith(anEvent({ payload: "new" }))
    expect(original.payload).toBe("old")
  })

  it("chooses the handler by the type it leaves the event with", async () => {
    const v1 = vi.fn(async () => {})
    const v2 = vi.fn(async () => {})
    bus.on("order.v1", v1).on("order.v2", v2)
    bus.addHandlerMiddleware(async (ctx, next) => {
      ctx.event = { ...ctx.event, type: "order.v2" }
      await next()
    })
    await outbox.deliver({ type: "order.v1" })
    expect(v1).not.toHaveBeenCalled()
    expect(v2).toHaveBeenCalledOnce()
  })

  it("drops single events from a publish", async () => {
    bus.addEmitMiddleware((ctx, next) => next({ dropEvent: ctx.event.payload === 2 }))
    await bus.emitMany([1, 2, 3].map((payload) => ({ type: "n", payload })))
    expect(outbox.published.map(({ payload }) => payload)).toEqual([1, 3])
  })

  it("drops an event silently before its handler", async () => {
    const handled = vi.fn(async () => {})
    bus.on("order.placed", handled).addHandlerMiddleware((_, next) => next({ dropEvent: true }))
    await outbox.deliver(anEvent())
    expect(handled).not.toHaveBeenCalled()
  })

  it("fails the emit, or the delivery, when it does not call next()", async () => {
    bus.addMiddleware(async () => {})
    await expect(bus.emit(anEvent())).rejects.toThrow("Middleware at index 0 must call next()")
    await expect(outbox.deliver(anEvent())).rejects.toThrow("Middleware at index 0 must call next()")
    expect(outbox.publish).not.toHaveBeenCalled()
  })

  it("can't make an event count as handled before its handler has ended", async () => {
    const work = deferred()
    bus.on("order.placed", () => work.promise).addHandlerMiddleware(async (_, next) => void next())
    const delivery = outbox.deliver(anEvent())
    work.reject(new Error("no stock"))
    await expect(delivery).rejects.toThrow("no stock")
  })

  it("is that of the moment when the event's phase began", async () => {
    bus = new OutboxEventBus(outbox, { onError, middlewareConcurrency: 1 })
    bus.start()
    const added: Middleware<string> = note("added")
    let first = true
    bus.addMiddleware(async (ctx, next) => {
      if (first) bus.addMiddleware(added)
      first = false
      await note("a")(ctx, next)
    })
    await bus.emitMany([anEvent(), anEvent()])
    expect(phases).toEqual(["emit a", "emit a", "emit added"])
    phases.length = 0
    first = true
    await outbox.deliver(anEvent())
    expect(phases).toEqual(["handler a", "handler added"])
  })
})
