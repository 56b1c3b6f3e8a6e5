import { describe, expect, it } from "vitest"
import { type Deferred, deferred } from "./deferred.fixture.ts"
import { ConfigurationError, DuplicateListenerError } from "./errors.ts"
import {
  advance,
  batches,
  bus,
  deliver,
  handler,
  numbers,
  subscribe,
  useBusOnFakeClock,
} from "./event-publisher.fixture.ts"
import { EventPublisher } from "./event-publisher.ts"

useBusOnFakeClock()

describe("the buffer", () => {
  it("is flushed when it is full: 50 events by default, one batch", async () => {
    subscribe()
    const delivered = deliver(numbers(50))
    await delivered
    expect(batches()).toEqual([numbers(50)])
  })

  it("is flushed 100 ms after its first event by default, and begins anew", async () => {
    subscribe()
    const first = deliver([1])
    await advance(60)
    const second = deliver([2])
    await advance(39)
    expect(handler).not.toHaveBeenCalled()
    await advance(1)
    await Promise.all([first, second])
    expect(batches()).toEqual([[1, 2]])
    const third = deliver([3])
    await advance(99)
    expect(handler).toHaveBeenCalledTimes(1)
    await advance(1)
    await third
    expect(batches()).toEqual([[1, 2], [3]])
  })

  it("takes its size and time from the config", async () => {
    subscribe({ processingConfig: { bufferSize: 2, bufferTimeoutMs: 7 } })
    await deliver([1, 2])
    const third = deliver([3])
    await advance(7)
    await third
    expect(batches()).toEqual([[1, 2], [3]])
  })

  it("is one per subscription", async () => {
    const publisher = subscribe({ processingConfig: { bufferSize: 2 } })
    publisher.subscribe(["b", "c"], handler)
    void deliver([1])
    await Promise.all([deliver([2], "b"), deliver([3], "c")])
    expect(batches()).toEqual([[2, 3]])
    await advance(100)
    expect(batches()).toEqual([[2, 3], [1]])
  })

  it("is split into batches of maxBatchSize", async () => {
    subscribe({ processingConfig: { bufferSize: 7, maxBatchSize: 3 } })
    await deliver(numbers(7))
    expect(batches()).toEqual([[1, 2, 3], [4, 5, 6], [7]])
  })
})

describe("an event", () => {
  it("is handled when its own batch has been handled, not before", async () => {
    const works: Deferred[] = []
    handler.mockImplementation(() => {
      const work = deferred()
      works.push(work)
      return work.promise.then(() => undefined)
    })
    subscribe({ processingConfig: { bufferSize: 2, maxBatchSize: 1 } })
    const settled: number[] = []
    const first = deliver([1]).then(() => settled.push(1))
    const second = deliver([2]).then(() => settled.push(2))
    await advance(1000)
    expect(settled).toEqual([])
    works[1]?.resolve()
    await second
    expect(settled).toEqual([2])
    works[0]?.resolve()
    await first
  })

  it("fails with its batch, and only with that", async () => {
    const failure = new Error("queue down")
    handler.mockImplementation(async ([event]) => {
      if (event?.payload === 1) throw failure
      return undefined
    })
    subscribe({
      processingConfig: { bufferSize: 4, maxBatchSize: 2 },
      retryConfig: { maxAttempts: 1 },
    })
    const failed = { status: "rejected", reason: failure }
    const done = { status: "fulfilled", value: undefined }
    expect(await deliver([1, 2, 3, 4])).toEqual([failed, failed, done, done])
  })
})

describe("retries", () => {
  function recordTimes() {
    const times: number[] = []
    const startedAt = Date.now()
    handler.mockImplementation(() => {
      times.push(Date.now() - startedAt)
      throw new Error(`failure ${times.length}`) // also synchronously
    })
    return times
  }

  it("are three attempts by default, 1 and 2 seconds apart; the last failure is the outcome", async () => {
    const times = recordTimes()
    subscribe({ processingConfig: { bufferSize: 1 } })
    const delivered = deliver([1])
    await advance(60_000)
    expect(times).toEqual([0, 1000, 3000])
    expect(await delivered).toEqual([{ status: "rejected", reason: new Error("failure 3") }])
  })

  it("double their delay up to maxDelayMs: 10 seconds by default", async () => {
    const times = recordTimes()
    subscribe({ processingConfig: { bufferSize: 1 }, retryConfig: { maxAttempts: 7 } })
    void deliver([1])
    await advance(60_000)
    expect(times).toEqual([0, 1000, 3000, 7000, 15_000, 25_000, 35_000])
  })

  it("take their numbers from the config", async () => {
    const times = recordTimes()
    const retryConfig = { maxAttempts: 4, initialDelayMs: 10, maxDelayMs: 15 }
    subscribe({ processingConfig: { bufferSize: 1 }, retryConfig })
    void deliver([1])
    await advance(60_000)
    expect(times).toEqual([0, 10, 25, 40])
  })

  it("end with the first success, and give the whole batch again", async () => {
    handler.mockRejectedValueOnce(new Error("queue down"))
    subscribe({ processingConfig: { bufferSize: 2 } })
    const delivered = deliver([1, 2])
    await advance(1000)
    expect((await delivered).map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"])
    expect(batches()).toEqual([
      [1, 2],
      [1, 2],
    ])
  })
})

describe.each<[string, <T extends object>(publisher: T) => T]>([
  ["a Proxy", (publisher) => new Proxy(publisher, {})],
  ["Object.create", (publisher) => Object.create(publisher)],
])("through %s", (_, wrap) => {
  it("the publisher works, and shares its concurrency with the wrapped one", async () => {
    const work = deferred()
    handler.mockReturnValue(work.promise.then(() => undefined))
    const publisher = subscribe({ processingConfig: { bufferSize: 1, concurrency: 1 } })
    wrap(publisher).subscribe(["b"], handler)
    const delivered = Promise.all([deliver([1], "b"), deliver([2])])
    await advance(1000)
    expect(batches()).toEqual([[1]])
    work.resolve()
    await delivered
    expect(batches()).toEqual([[1], [2]])
  })
})

describe("concurrency", () => {
  it.each([
    [undefined, 5],
    [2, 2],
  ])("given as %o bounds the batches under way to %i, over all subscriptions", async (concurrency, limit) => {
    const works: Deferred[] = []
    handler.mockImplementation(() => {
      const work = deferred()
      works.push(work)
      return work.promise.then(() => undefined)
    })
    const publisher = subscribe({ processingConfig: { bufferSize: 1, ...(concurrency && { concurrency }) } })
    publisher.subscribe(["b"], handler)
    const delivered = Promise.all([deliver(numbers(4)), deliver(numbers(4), "b")])
    await advance(1000)
    for (let started = limit; started < 8; started += 1) {
      expect(works).toHaveLength(started)
      works[started - limit]?.resolve()
      await advance(0)
    }
    expect(works).toHaveLength(8)
    for (const work of works) work.resolve()
    await delivered
  })

  it("holds the place of a batch during its retries", async () => {
    handler.mockRejectedValueOnce(new Error("queue down"))
    subscribe({ processingConfig: { bufferSize: 1, concurrency: 1 } })
    const delivered = deliver([1, 2])
    await advance(999)
    expect(batches()).toEqual([[1]])
    await advance(1)
    await delivered
    expect(batches()).toEqual([[1], [1], [2]])
  })
})

describe("the config", () => {
  it.each([
    ["retryConfig", "maxAttempts", 0],
    ["retryConfig", "initialDelayMs", -1],
    ["retryConfig", "maxDelayMs", "5"],
    ["processingConfig", "bufferSize", 0],
    ["processingConfig", "bufferTimeoutMs", Number.NaN],
    ["processingConfig", "concurrency", 1.5],
    ["processingConfig", "maxBatchSize", 0],
    ["processingConfig", "maxBatchBytes", 0],
    ["processingConfig", "sizeOf", "json"],
  ])("refuses %s.%s = %o by name and value", (group, option, value) => {
    const attempt = () => new EventPublisher(bus, { [group]: { [option]: value } })
    expect(attempt).toThrow(ConfigurationError)
    expect(attempt).toThrow(option)
    expect(attempt).toThrow(String(value))
    expect(attempt).toThrow("Allowed: ")
  })

  it("takes null as the default, everywhere", async () => {
    const absent = {
      retryConfig: { maxAttempts: null, initialDelayMs: null, maxDelayMs: null },
      processingConfig: { bufferSize: null, bufferTimeoutMs: null, concurrency: null, maxBatchSize: null },
    } as object
    subscribe(absent)
    new EventPublisher(bus, { retryConfig: null, processingConfig: null } as object)
    new EventPublisher(bus, null as unknown as undefined)
    await deliver(numbers(50))
    expect(batches()).toEqual([numbers(50)])
    handler.mockRejectedValue(new Error("queue down"))
    void deliver([1])
    await advance(100 + 1000 + 2000)
    expect(handler).toHaveBeenCalledTimes(4)
  })

  it("takes Infinity and times beyond what timers support", async () => {
    const unlimited = Number.POSITIVE_INFINITY
    subscribe({
      retryConfig: { maxAttempts: unlimited, initialDelayMs: 2 ** 31, maxDelayMs: unlimited },
      processingConfig: {
        bufferSize: unlimited,
        bufferTimeoutMs: 2 ** 31,
        concurrency: unlimited,
        maxBatchSize: unlimited,
      },
    })
    handler.mockRejectedValueOnce(new Error("queue down"))
    const delivered = deliver(numbers(200))
    await advance(2 ** 31 - 2)
    expect(handler).not.toHaveBeenCalled()
    await advance(1)
    expect(batches()).toEqual([numbers(200)])
    await advance(2 ** 31 - 2)
    expect(handler).toHaveBeenCalledTimes(1)
    await advance(1)
    expect(handler).toHaveBeenCalledTimes(2)
    await delivered
  })

  it("has its defaults as statics of the class", () => {
    expect({ ...EventPublisher }).toEqual({
      DEFAULT_BUFFER_SIZE: 50,
      DEFAULT_BUFFER_TIMEOUT_MS: 100,
      DEFAULT_CONCURRENCY: 5,
      DEFAULT_RETRY_ATTEMPTS: 3,
      DEFAULT_RETRY_DELAY_MS: 1000,
      DEFAULT_RETRY_MAX_DELAY_MS: 10_000,
    })
  })

  it("can be overridden: withOverrides lets the given processing options win, and changes nothing", () => {
    const config = { retryConfig: { maxAttempts: 9 }, processingConfig: { bufferSize: 5, maxBatchSize: 99 } }
    const copy = structuredClone(config)
    expect(EventPublisher.withOverrides(config, { maxBatchSize: 10 })).toEqual({
      retryConfig: { maxAttempts: 9 },
      processingConfig: { bufferSize: 5, maxBatchSize: 10 },
    })
    expect(config).toEqual(copy)
    expect(EventPublisher.withOverrides({}, { concurrency: 1 })).toEqual({
      processingConfig: { concurrency: 1 },
    })
    const nothing = { maxBatchSize: undefined, concurrency: null } as object
    expect(EventPublisher.withOverrides(config, nothing)).toEqual(copy)
  })

  it("does not help against a handler that is there already", () => {
    subscribe()
    expect(() => subscribe()).toThrow(DuplicateListenerError)
  })
})
