// Construction, emit, and what is passed on to the outbox.

import { beforeEach, describe, expect, it, vi } from "vitest"
import { allPromisesRun, type Deferred, deferred } from "./deferred.fixture.ts"
import { ConfigurationError, UnsupportedOperationError } from "./errors.ts"
import { anEvent, ManualOutbox } from "./manual-outbox.fixture.ts"
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
