import { AsyncLocalStorage } from "node:async_hooks"
import { beforeEach, describe, expect, it, vi } from "vitest"
import { deferred } from "./deferred.fixture.ts"
import { ConfigurationError, HandlerError, MaxRetriesExceededError } from "./errors.ts"
import type { BusEvent } from "./event.ts"
import {
  advance,
  createOutbox,
  failWith,
  handled,
  handler,
  named,
  onError,
  outbox,
  useOutboxOnFakeClock,
} from "./in-memory-outbox.fixture.ts"
import { InMemoryOutbox } from "./in-memory-outbox.ts"
import { anEvent } from "./manual-outbox.fixture.ts"

useOutboxOnFakeClock()

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
    createOutbox({ maxRetries: 1 })
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
      createOutbox(maxRetries === undefined ? undefined : { maxRetries })
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
    createOutbox({ maxRetries: Number.POSITIVE_INFINITY })
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
    createOutbox({ maxRetries: 0 })
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
    createOutbox({ maxRetries: 1 })
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
