import { AsyncLocalStorage } from "node:async_hooks"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { type Deferred, deferred } from "./deferred.fixture.ts"
import { ConfigurationError, HandlerError, MaxRetriesExceededError, type OutboxError } from "./errors.ts"
import type { BusEvent } from "./event.ts"
import { InMemoryOutbox } from "./in-memory-outbox.ts"
import { anEvent } from "./manual-outbox.fixture.ts"
import { OutboxEventBus } from "./outbox-event-bus.ts"

const handler = vi.fn<(event: BusEvent) => Promise<void>>()
const onError = vi.fn<(error: OutboxError) => void>()
let outbox: InMemoryOutbox

const named = (...ids: string[]) => ids.map((id) => anEvent({ id }))
const handled = () => handler.mock.calls.map(([event]) => event.id)
const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const failWith = (...messages: string[]) => {
  for (const message of messages) handler.mockRejectedValueOnce(new Error(message))
}

beforeEach(() => {
  vi.useFakeTimers()
  handler.mockReset().mockResolvedValue(undefined)
  onError.mockReset()
  outbox = new InMemoryOutbox()
})
afterEach(async () => {
  await outbox.stop()
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
  vi.restoreAllMocks()
})

it.each([-1, 0.5, "3"])("refuses maxRetries = %o", (maxRetries) => {
  const attempt = () => new InMemoryOutbox({ maxRetries: maxRetries as number })
  expect(attempt).toThrow(ConfigurationError)
  expect(attempt).toThrow("maxRetries")
  expect(attempt).toThrow("Allowed: an integer of at least 0")
})

describe("delivery", () => {
  it("is in the order published, within 10 ms", async () => {
    outbox.start(handler, onError)
    await outbox.publish(named("a", "b"))
    await outbox.publish(named("c"))
    await advance(10)
    expect(handled()).toEqual(["a", "b", "c"])
    await advance(1000)
    expect(handler).toHaveBeenCalledTimes(3)
    expect(onError).not.toHaveBeenCalled()
  })

  it("runs one handler at a time", async () => {
    const work = deferred()
    handler.mockReturnValueOnce(work.promise)
    await outbox.publish(named("a", "b"))
    outbox.start(handler, onError)
    await advance(1000)
    expect(handled()).toEqual(["a"])
    work.resolve()
    await advance(0)
    expect(handled()).toEqual(["a", "b"])
  })

  it("gives the event as it was when published", async () => {
    const event = anEvent({ payload: "old" })
    await outbox.publish([event], "a transaction, which is ignored")
    event.payload = "new"
    outbox.start(handler, onError)
    await advance(0)
    expect(handler).toHaveBeenCalledExactlyOnceWith(anEvent({ payload: "old" }))
  })

  it("gives each attempt, report and dead letter a copy of its own", async () => {
    outbox = new InMemoryOutbox({ maxRetries: 1 })
    const payload = { order: { lines: [1] }, placedAt: new Date(5), tags: new Map([["a", new Set(["b"])]]) }
    const metadata = { trace: { id: "t" } }
    const published = structuredClone({ payload, metadata })
    const seen: unknown[] = []
    const spoil = (event: BusEvent) => {
      seen.push(structuredClone({ payload: event.payload, metadata: event.metadata }))
      const { order, placedAt, tags } = event.payload as typeof payload
      order.lines.push(2)
      placedAt.setTime(0)
      tags.get("a")?.clear()
      Object.assign(event.metadata?.trace as object, { id: "spoilt" })
      event.occurredAt.setTime(99)
    }
    handler.mockImplementation(async (event) => {
      spoil(event)
      throw new Error("no stock")
    })
    onError.mockImplementation((error) => spoil((error as HandlerError).event))
    const event = anEvent({ payload, metadata })
    await outbox.publish([event])
    spoil(event)
    outbox.start(handler, onError)
    await advance(100)
    for (const letter of await outbox.getFailedEvents()) spoil(letter)
    for (const letter of await outbox.getFailedEvents()) {
      expect(letter.occurredAt).toEqual(new Date(0))
      spoil(letter)
    }
    expect(seen).toEqual(Array(7).fill(published))
  })

  it("queues nothing where a payload can't be copied", async () => {
    const broken = {
      get total() {
        throw new Error("no total")
      },
    }
    const publish = outbox.publish([anEvent(), anEvent({ payload: broken })])
    await expect(publish).rejects.toThrow("no total")
    outbox.start(handler, onError)
    await advance(10)
    expect(handler).not.toHaveBeenCalled()
  })

  it("waits for start when the outbox is stopped", async () => {
    outbox.start(handler, onError)
    await outbox.stop()
    await outbox.publish(named("a"))
    await advance(1000)
    expect(handler).not.toHaveBeenCalled()
    outbox.start(handler, onError)
    await advance(0)
    expect(handled()).toEqual(["a"])
  })

  it("keeps its handler over a second start, which sets onError", async () => {
    const second = { handler: vi.fn(), onError: vi.fn() }
    outbox.start(handler, onError)
    outbox.start(second.handler, second.onError)
    expect(outbox.onError).toBe(second.onError)
    failWith("no stock")
    await outbox.publish(named("a"))
    await outbox.stop()
    expect(handled()).toEqual(["a", "a"])
    expect(second.handler).not.toHaveBeenCalled()
    expect(second.onError).toHaveBeenCalledOnce()
    expect(onError).not.toHaveBeenCalled()
  })

  it("reports to the onError that is set by then, if any", async () => {
    const other = vi.fn()
    outbox.start(handler, onError)
    failWith("no stock", "still none")
    outbox.onError = other
    await outbox.publish(named("a"))
    await advance(0)
    expect(other).toHaveBeenCalledOnce()
    outbox.onError = undefined
    await advance(1000)
    expect(handled()).toEqual(["a", "a", "a"])
    expect(onError).not.toHaveBeenCalled()
  })

  it("keeps a publisher's async context away from handlers", async () => {
    const transaction = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    outbox.start(async () => void seen.push(transaction.getStore()), onError)
    await transaction.run("tx", () => outbox.publish(named("a")))
    await advance(10)
    expect(seen).toEqual([undefined])
  })
})

describe("a failed attempt", () => {
  it("is reported and retried in the next round", async () => {
    failWith("no stock")
    await outbox.publish(named("a", "b"))
    outbox.start(handler, onError)
    await advance(0)
    expect(handled()).toEqual(["a", "b"])
    expect(onError).toHaveBeenCalledOnce()
    expect(onError.mock.calls[0]?.[0]).toBeInstanceOf(HandlerError)
    expect(onError.mock.calls[0]?.[0]).toMatchObject({
      event: anEvent({ id: "a" }),
      cause: new Error("no stock"),
    })
    await advance(10)
    expect(handled()).toEqual(["a", "b", "a"])
    expect(await outbox.getFailedEvents()).toEqual([])
  })

  it("is retried ahead of what was published meanwhile, in the order of the round before", async () => {
    failWith("1", "2")
    handler.mockImplementationOnce(() => outbox.publish(named("meanwhile")))
    await outbox.publish(named("a", "b", "c"))
    outbox.start(handler, onError)
    await advance(0)
    await outbox.publish(named("later"))
    await advance(10)
    expect(handled()).toEqual(["a", "b", "c", "a", "b", "meanwhile", "later"])
  })

  it.each([
    [undefined, 4],
    [null as unknown as undefined, 4],
    [0, 1],
    [1, 2],
  ])(
    "with maxRetries %o leads to the dead letters after %i attempts, with the last error",
    async (maxRetries, attempts) => {
      outbox = new InMemoryOutbox(maxRetries === undefined ? undefined : { maxRetries })
      failWith(...Array.from({ length: attempts }, (_, index) => `failure ${index + 1}`))
      await outbox.publish(named("a"))
      outbox.start(handler, onError)
      await advance(1000)
      expect(handler).toHaveBeenCalledTimes(attempts)
      const errors = onError.mock.calls.map(([error]) => error)
      expect(errors).toHaveLength(attempts)
      for (const error of errors.slice(0, -1)) expect(error).toBeInstanceOf(HandlerError)
      const letter = {
        ...anEvent({ id: "a" }),
        error: `failure ${attempts}`,
        retryCount: attempts,
        lastAttemptAt: expect.any(Date),
      }
      // As the original counts: attempts in the report, retries in the dead letter.
      const kept = { ...letter, retryCount: attempts - 1 }
      expect(errors.at(-1)).toBeInstanceOf(MaxRetriesExceededError)
      expect(errors.at(-1)).toMatchObject({
        event: letter,
        message: `Max retries exceeded (${attempts}). Event moved to DLQ.`,
      })
      expect(await outbox.getFailedEvents()).toEqual([kept])
    },
  )

  it("with maxRetries Infinity is retried until it succeeds", async () => {
    outbox = new InMemoryOutbox({ maxRetries: Number.POSITIVE_INFINITY })
    failWith(...Array.from({ length: 50 }, () => "no stock"))
    await outbox.publish(named("a"))
    outbox.start(handler, onError)
    await advance(1000)
    expect(handler).toHaveBeenCalledTimes(51)
    expect(await outbox.getFailedEvents()).toEqual([])
  })

  it("counts the same when the handler throws synchronously", async () => {
    handler.mockImplementationOnce(() => {
      throw new Error("no stock")
    })
    await outbox.publish(named("a"))
    outbox.start(handler, onError)
    await advance(10)
    expect(handled()).toEqual(["a", "a"])
  })

  it("is not lost by an error handler that throws", async () => {
    const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
    onError.mockImplementation(() => {
      throw new Error("logger down")
    })
    handler.mockRejectedValue(new Error("no stock"))
    await outbox.publish(named("a"))
    outbox.start(handler, onError)
    await advance(1000)
    expect(await outbox.getFailedEvents()).toMatchObject([{ id: "a", error: "no stock", retryCount: 3 }])
    expect(emitWarning).toHaveBeenCalledTimes(4)
  })
})

describe("dead letters", () => {
  const at = (id: string, time: number) =>
    anEvent({ id, occurredAt: new Date(time), metadata: { tenant: "t" } })

  beforeEach(async () => {
    outbox = new InMemoryOutbox({ maxRetries: 0 })
    failWith("1", "2", "3")
    await outbox.publish([at("old", 1), at("new", 3), at("middle", 2)])
    outbox.start(handler, onError)
    await advance(0)
    handler.mockClear()
  })

  it("are listed in the order in which they were dead-lettered, as copies", async () => {
    const letters = await outbox.getFailedEvents()
    expect(letters.map(({ id }) => id)).toEqual(["old", "new", "middle"])
    for (const letter of letters) letter.id = "changed"
    expect((await outbox.getFailedEvents()).map(({ id }) => id)).toEqual(["old", "new", "middle"])
  })

  it("are queued again by id, as they were published; other ids are ignored", async () => {
    await outbox.retryEvents(["middle", "unknown"])
    expect((await outbox.getFailedEvents()).map(({ id }) => id)).toEqual(["old", "new"])
    await advance(1000)
    expect(handler).toHaveBeenCalledExactlyOnceWith(at("middle", 2))
  })

  it("have all their attempts again", async () => {
    await outbox.stop()
    outbox = new InMemoryOutbox({ maxRetries: 1 })
    handler.mockRejectedValue(new Error("no stock"))
    await outbox.publish(named("a"))
    outbox.start(handler, onError)
    await advance(100)
    await outbox.retryEvents(["a"])
    await advance(100)
    expect(handler).toHaveBeenCalledTimes(4)
    expect(await outbox.getFailedEvents()).toMatchObject([{ id: "a", retryCount: 1 }])
  })
})

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
