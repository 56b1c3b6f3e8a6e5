/** Middleware of the bus: order, contexts, `next`, and what a failure does. */
import { type BusEvent, type HandlerMiddlewareContext, type Next, OutboxEventBus } from "outbox-event-bus"
import { beforeEach, describe, expect, it, vi } from "vitest"
import { anEvent, RecordingOutbox } from "./recording-outbox.ts"

let outbox: RecordingOutbox
let bus: OutboxEventBus<string>
let log: string[]

beforeEach(() => {
  outbox = new RecordingOutbox()
  bus = new OutboxEventBus(outbox, () => {})
  log = []
  bus.start()
})

const tracing = (name: string) => async (_: unknown, next: Next) => {
  log.push(`${name} in`)
  await next()
  log.push(`${name} out`)
}

/** Each phase: how middleware is added, and how an event goes through it. */
const PHASES = [
  {
    phase: "emit",
    add: (...middlewares: ((ctx: { event: BusEvent }, next: Next) => Promise<void>)[]) =>
      bus.addEmitMiddleware(...middlewares),
    pass: () => bus.emit(anEvent()),
  },
  {
    phase: "handler",
    add: (...middlewares: ((ctx: { event: BusEvent }, next: Next) => Promise<void>)[]) =>
      bus.addHandlerMiddleware(...middlewares),
    pass: () => outbox.deliver(anEvent()),
  },
] as const

describe.each(PHASES)("in the $phase phase", ({ phase, add, pass }) => {
  it("is added to the bus, which is returned, and runs as an onion, the first outermost", async () => {
    expect(add(tracing("first"), tracing("second"))).toBe(bus)
    await pass()
    expect(log).toEqual(["first in", "second in", "second out", "first out"])
  })

  it("of both phases sees which it is, and the event", async () => {
    const seen = vi.fn()
    expect(
      bus.addMiddleware(async (ctx, next) => {
        seen(ctx.phase, ctx.event.type)
        await next()
      }),
    ).toBe(bus)
    await pass()
    expect(seen).toHaveBeenCalledExactlyOnceWith(phase, "order.placed")
  })

  it("is snapshotted per event", async () => {
    add(async (_, next) => {
      add(tracing("late"))
      await next()
    })
    await pass()
    expect(log).toEqual([])
    await pass()
    expect(log).toEqual(["late in", "late out"])
  })

  it("that neither throws nor calls next fails, with its index", async () => {
    add(tracing("first"), async () => {})
    await expect(pass()).rejects.toThrow("Middleware at index 1 must call next()")
    expect(outbox.publish).not.toHaveBeenCalled()
  })

  it("that calls next twice fails", async () => {
    add(async (_, next) => {
      await next()
      await next()
    })
    await expect(pass()).rejects.toThrow("next() called multiple times")
  })

  it("that throws fails the event", async () => {
    const handler = vi.fn(async () => {})
    bus.on("order.placed", handler)
    const failure = new Error("refused")
    add(() => Promise.reject(failure))
    await expect(pass()).rejects.toBe(failure)
    expect(outbox.publish).not.toHaveBeenCalled()
    expect(handler).not.toHaveBeenCalled()
  })

  it("may drop an event", async () => {
    const handler = vi.fn(async () => {})
    bus.on("order.placed", handler)
    add(async (_, next) => next({ dropEvent: true }), tracing("inner"))
    await pass()
    expect(log).toEqual([])
    expect(outbox.publish).not.toHaveBeenCalled()
    expect(handler).not.toHaveBeenCalled()
  })

  it("may change or replace the event before next", async () => {
    const handler = vi.fn(async (_: BusEvent) => {})
    bus.on("order.replaced", handler)
    add(
      async (ctx, next) => {
        ctx.event = { ...ctx.event, type: "order.replaced" }
        await next()
      },
      async (ctx, next) => {
        ctx.event.payload = "changed"
        await next()
      },
    )
    await pass()
    const arrived = phase === "emit" ? outbox.publish.mock.lastCall?.[0][0] : handler.mock.lastCall?.[0]
    expect(arrived).toMatchObject({ id: "event-1", type: "order.replaced", payload: "changed" })
  })
})

it("an emit context has the transaction", async () => {
  const seen = vi.fn()
  bus.addEmitMiddleware(async (ctx, next) => {
    seen(ctx.transaction)
    await next()
  })
  await bus.emit(anEvent(), "transaction")
  expect(seen).toHaveBeenCalledExactlyOnceWith("transaction")
})

it("what was not dropped is published in one go", async () => {
  bus.addEmitMiddleware(async (ctx, next) => next({ dropEvent: ctx.event.payload === "drop" }))
  await bus.emitMany([anEvent({ id: "1" }), anEvent({ id: "2", payload: "drop" }), anEvent({ id: "3" })])
  expect(outbox.publish).toHaveBeenCalledOnce()
  expect(outbox.publish.mock.lastCall?.[0].map(({ id }) => id)).toEqual(["1", "3"])
})

describe("when the handler fails", () => {
  const boom = new Error("boom")
  beforeEach(() => {
    bus.on("order.placed", () => Promise.reject(boom))
  })

  type Reaction = (ctx: HandlerMiddlewareContext<string>, next: Next) => Promise<void>
  const swallowing: [string, Reaction][] = [
    [
      "logs and swallows",
      async (_, next) => {
        try {
          await next()
        } catch {
          log.push("logged")
        }
      },
    ],
    ["catches the promise", (_, next) => next().catch(() => {})],
    [
      "returns early",
      async (_, next) => {
        next().catch(() => {})
      },
    ],
    [
      "returns in finally",
      async (_, next) => {
        let done: boolean | undefined
        await next()
          .finally(() => {
            done = true
          })
          .catch(() => done)
      },
    ],
  ]
  it.each(swallowing)("the event fails, also below a middleware that %s", async (_, middleware) => {
    bus.addHandlerMiddleware(tracing("outer"), middleware)
    await expect(outbox.deliver(anEvent())).rejects.toBe(boom)
  })

  it("and the chain rejects, the chain's error counts", async () => {
    const wrapped = new Error("wrapped")
    bus.addHandlerMiddleware(async (_, next) => {
      await next().catch(() => {
        throw wrapped
      })
    })
    await expect(outbox.deliver(anEvent())).rejects.toBe(wrapped)
  })
})
