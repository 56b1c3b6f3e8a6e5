// Construction, emit, middleware of both phases, and what is passed on to the outbox.

import { beforeEach, describe, expect, it, vi } from "vitest"
import { allPromisesRun, type Deferred, deferred } from "./deferred.fixture.ts"
import { ConfigurationError, UnsupportedOperationError } from "./errors.ts"
import { anEvent, ManualOutbox } from "./manual-outbox.fixture.ts"
import type { EmitMiddleware, HandlerMiddleware, Middleware, MiddlewareContext } from "./middleware.ts"
import type { IOutbox } from "./outbox.ts"
import { OutboxEventBus } from "./outbox-event-bus.ts"

const onError = vi.fn()
let outbox: ManualOutbox
let bus: OutboxEventBus<string>

beforeEach(() => {
  outbox = new ManualOutbox()
  bus = new OutboxEventBus(outbox, onError)
})

describe("the constructor", () => {
  it.each([0, 1.5, -1, Number.NaN, "10"])("refuses middlewareConcurrency = %o", (middlewareConcurrency) => {
    const config = { onError, middlewareConcurrency: middlewareConcurrency as number }
    const attempt = () => new OutboxEventBus(outbox, config)
    expect(attempt).toThrow(ConfigurationError)
    expect(attempt).toThrow("middlewareConcurrency")
    expect(attempt).toThrow(String(middlewareConcurrency))
    expect(attempt).toThrow("Allowed: an integer of at least 1")
  })

  it.each([undefined, {}, { onError: "log" }])("refuses %o for want of an error handler", (config) => {
    const attempt = () => new OutboxEventBus(outbox, config as never)
    expect(attempt).toThrow(ConfigurationError)
    expect(attempt).toThrow("onError")
  })
})

describe("emit", () => {
  it("publishes a complete event as it is, with the transaction", async () => {
    const event = anEvent({ metadata: { trace: "t" } })
    await bus.emit(event, "tx")
    expect(outbox.publish).toHaveBeenCalledExactlyOnceWith([event], "tx")
  })

  it.each([{}, { id: undefined, occurredAt: undefined }])(
    "fills in id and occurredAt for %o",
    async (missing) => {
      vi.useFakeTimers({ now: 1000 })
      const input = { type: "order.placed", payload: 1, ...missing }
      const copy = { ...input }
      await bus.emit(input).finally(vi.useRealTimers)
      expect(outbox.publish).toHaveBeenCalledExactlyOnceWith(
        [
          {
            type: "order.placed",
            payload: 1,
            id: expect.stringMatching(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/),
            occurredAt: new Date(1000),
          },
        ],
        undefined,
      )
      expect(input).toEqual(copy)
    },
  )

  it("rejects with what the outbox fails with", async () => {
    const failure = new Error("no such table")
    outbox.publish.mockRejectedValue(failure)
    await expect(bus.emit(anEvent())).rejects.toBe(failure)
  })
})

describe("emitMany", () => {
  it("publishes once, in the order given, with ids and dates of their own", async () => {
    await bus.emitMany(
      [1, 2, 3].map((payload) => ({ type: "n", payload })),
      "tx",
    )
    expect(outbox.publish).toHaveBeenCalledOnce()
    expect(outbox.publish.mock.calls[0]?.[1]).toBe("tx")
    expect(outbox.published.map(({ payload }) => payload)).toEqual([1, 2, 3])
    expect(new Set(outbox.published.map(({ id }) => id)).size).toBe(3)
    expect(new Set(outbox.published.map(({ occurredAt }) => occurredAt)).size).toBe(3)
  })

  it("does nothing for an empty list, or one of which all is dropped", async () => {
    await bus.emitMany([])
    bus.addEmitMiddleware((_, next) => next({ dropEvent: true }))
    await bus.emitMany([anEvent(), anEvent()])
    await bus.emit(anEvent())
    expect(outbox.publish).not.toHaveBeenCalled()
  })

  it.each([
    [undefined, 10],
    [3, 3],
    [100, 25],
  ])(
    "with middlewareConcurrency %o runs the middleware of %i events at once, and keeps their order",
    async (middlewareConcurrency, atOnce) => {
      bus = new OutboxEventBus(outbox, { onError, ...(middlewareConcurrency && { middlewareConcurrency }) })
      const waiting: Deferred[] = []
      let running = 0
      let most = 0
      bus.addEmitMiddleware(async (_, next) => {
        running += 1
        most = Math.max(most, running)
        const turn = deferred()
        waiting.push(turn)
        await turn.promise
        running -= 1
        await next()
      })
      const payloads = Array.from({ length: 25 }, (_, index) => index)
      let done = false
      const emitted = bus.emitMany(payloads.map((payload) => ({ type: "n", payload }))).then(() => {
        done = true
      })
      while (!done) {
        await allPromisesRun()
        waiting.pop()?.resolve() // the latest first: they end out of order
      }
      await emitted
      expect(most).toBe(atOnce)
      expect(outbox.published.map(({ payload }) => payload)).toEqual(payloads)
    },
  )

  it("publishes nothing when a middleware fails, begins no further event, and waits for those under way", async () => {
    bus = new OutboxEventBus(outbox, { onError, middlewareConcurrency: 2 })
    const slow = deferred()
    const failure = new Error("refused")
    const seen: unknown[] = []
    bus.addEmitMiddleware(async (ctx, next) => {
      seen.push(ctx.event.payload)
      if (ctx.event.payload === "slow") await slow.promise
      if (ctx.event.payload === "bad") throw failure
      await next()
    })
    const settled = vi.fn()
    const payloads = ["slow", "bad", "never begun"]
    const emitted = bus.emitMany(payloads.map((payload) => ({ type: "n", payload }))).catch(settled)
    await allPromisesRun()
    expect(settled).not.toHaveBeenCalled()
    slow.resolve()
    await emitted
    expect(settled).toHaveBeenCalledExactlyOnceWith(failure)
    expect(seen).toEqual(["slow", "bad"])
    expect(outbox.publish).not.toHaveBeenCalled()
  })

  it("does not limit an emit inside of an emit middleware", async () => {
    bus = new OutboxEventBus(outbox, { onError, middlewareConcurrency: 1 })
    bus.addEmitMiddleware(async (ctx, next) => {
      if (ctx.event.type !== "audit") await bus.emit({ type: "audit", payload: ctx.event.id })
      await next()
    })
    await bus.emit(anEvent())
    expect(outbox.published.map(({ type }) => type)).toEqual(["audit", "order.placed"])
  })
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
  ])("may leave an event %s, in both phases, without touching the original", async (_, middleware) => {
    const handled = vi.fn(async () => {})
    bus.addEmitMiddleware(middleware).addHandlerMiddleware(middleware).on("order.placed", handled)
    const original = anEvent({ payload: "old" })
    await bus.emit(original)
    await outbox.deliver(original)
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

describe("the outbox", () => {
  it("is started with the error handler as it was given, and stopped", async () => {
    bus.start()
    expect(outbox.start).toHaveBeenCalledExactlyOnceWith(expect.any(Function), onError)
    const stopped = deferred()
    outbox.stop.mockReturnValue(stopped.promise)
    const isStopped = vi.fn()
    const stop = bus.stop().then(isStopped)
    await allPromisesRun()
    expect(isStopped).not.toHaveBeenCalled()
    stopped.resolve()
    await stop
  })

  it("answers for dead letters", async () => {
    const failed = [{ ...anEvent(), retryCount: 5 }]
    outbox.getFailedEvents.mockResolvedValue(failed)
    expect(await bus.getFailedEvents()).toBe(failed)
    await bus.retryEvents(["event-1"])
    expect(outbox.retryEvents).toHaveBeenCalledExactlyOnceWith(["event-1"])
  })

  it("may lack dead letters: that is an UnsupportedOperationError", async () => {
    const { publish, start, stop } = outbox
    const bare = new OutboxEventBus({ publish, start, stop } as unknown as IOutbox<string>, onError)
    await expect(bare.getFailedEvents()).rejects.toThrow(UnsupportedOperationError)
    await expect(bare.getFailedEvents()).rejects.toThrow("getFailedEvents")
    await expect(bare.retryEvents(["event-1"])).rejects.toThrow(UnsupportedOperationError)
    await expect(bare.retryEvents(["event-1"])).rejects.toThrow("retryEvents")
  })
})
