import { AsyncLocalStorage } from "node:async_hooks"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { type Deferred, deferred } from "./deferred.fixture.ts"
import { ConfigurationError, MaintenanceError, OperationalError, type OutboxError } from "./errors.ts"
import { PollingService, type PollingServiceConfig } from "./polling-service.ts"

const handler = async () => {}
const onError = vi.fn<(error: OutboxError) => void>()
let polling: PollingService

/** 1000 ms between polls; 100, 200, 400, … ms after failures. */
function create(config: Partial<PollingServiceConfig>): PollingService {
  polling = new PollingService({
    pollIntervalMs: 1000,
    baseBackoffMs: 100,
    processBatch: async () => {},
    ...config,
  })
  return polling
}

/** Polls that a test ends itself. */
function manualPolls() {
  const polls: Deferred[] = []
  const processBatch = vi.fn(() => {
    const poll = deferred()
    polls.push(poll)
    return poll.promise
  })
  return { polls, processBatch }
}

/** Lets the promise callbacks run that are due at this moment of the fake clock. */
const settle = () => vi.advanceTimersByTimeAsync(0)
const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms)

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(Math, "random").mockReturnValue(0.5) // no jitter
})
afterEach(async () => {
  const stopped = polling?.stop()
  await settle()
  await stopped
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
  vi.restoreAllMocks()
  onError.mockReset()
})

describe("start", () => {
  it("polls at once with the handler, then pollIntervalMs after each poll has ended", async () => {
    const { polls, processBatch } = manualPolls()
    create({ processBatch }).start(handler, onError)
    expect(processBatch).toHaveBeenCalledExactlyOnceWith(handler)
    await advance(5000)
    expect(processBatch).toHaveBeenCalledTimes(1)
    polls[0]?.resolve()
    await advance(999)
    expect(processBatch).toHaveBeenCalledTimes(1)
    await advance(1)
    expect(processBatch).toHaveBeenCalledTimes(2)
    polls[1]?.resolve()
  })

  it("does nothing while started", async () => {
    const processBatch = vi.fn(async () => {})
    create({ processBatch }).start(handler, onError)
    polling.start(async () => {}, vi.fn())
    await advance(1000)
    expect(processBatch.mock.calls).toEqual([[handler], [handler]])
    expect(polling.onError).toBe(onError)
  })

  it("calls the functions as methods of the config", async () => {
    const config = {
      pollIntervalMs: 1000,
      baseBackoffMs: 100,
      polled: 0,
      async processBatch() {
        this.polled += 1
      },
    }
    polling = new PollingService(config)
    polling.start(handler, onError)
    await settle()
    expect(config.polled).toBe(1)
  })

  it.each([
    ["pollIntervalMs", -1],
    ["baseBackoffMs", Number.NaN],
    ["maxErrorBackoffMs", 2 ** 31],
    ["pollIntervalMs", "10"],
  ])("refuses %s = %o by name, value and what is allowed", (option, value) => {
    const attempt = () => create({ [option]: value })
    expect(attempt).toThrow(ConfigurationError)
    expect(attempt).toThrow(option)
    expect(attempt).toThrow(String(value))
    expect(attempt).toThrow("Allowed: milliseconds from 0 to 2147483647")
  })
})

describe("maintenance", () => {
  it("ends before the batch begins, in each poll", async () => {
    const upkeep = deferred()
    const performMaintenance = vi.fn(() => upkeep.promise)
    const processBatch = vi.fn(async () => {})
    create({ processBatch, performMaintenance }).start(handler, onError)
    await settle()
    expect(processBatch).not.toHaveBeenCalled()
    upkeep.resolve()
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(1)
    await advance(1000)
    expect(performMaintenance).toHaveBeenCalledTimes(2)
  })

  it("is reported when it fails, while the batch is processed and the pace stays", async () => {
    const cause = new Error("no access")
    const processBatch = vi.fn(async () => {})
    create({ processBatch, performMaintenance: () => Promise.reject(cause) }).start(handler, onError)
    await settle()
    expect(onError).toHaveBeenCalledOnce()
    expect(onError.mock.calls[0]?.[0]).toBeInstanceOf(MaintenanceError)
    expect(onError.mock.calls[0]?.[0]).toMatchObject({
      message: "Maintenance operation failed: no access",
      cause,
    })
    await advance(999)
    expect(processBatch).toHaveBeenCalledTimes(1)
    await advance(1)
    expect(processBatch).toHaveBeenCalledTimes(2)
  })
})

describe("a poll that fails", () => {
  it("is reported as an OperationalError with its cause", async () => {
    const cause = new Error("throttled")
    create({ processBatch: () => Promise.reject(cause) }).start(handler, onError)
    await settle()
    expect(onError.mock.calls[0]?.[0]).toBeInstanceOf(OperationalError)
    expect(onError.mock.calls[0]?.[0]).toMatchObject({ message: "Polling cycle failed", cause })
  })

  it("is reported as it is when it is an OutboxError, also when thrown synchronously", async () => {
    const error = new ConfigurationError("no table")
    const processBatch = () => {
      throw error
    }
    create({ processBatch }).start(handler, onError)
    await settle()
    expect(onError).toHaveBeenCalledExactlyOnceWith(error)
  })

  it("is followed by delays that double from baseBackoffMs to maxErrorBackoffMs, until a poll succeeds", async () => {
    let healthy = false
    const times: number[] = []
    const processBatch = async () => {
      times.push(Date.now())
      if (!healthy) throw new Error("down")
    }
    const startedAt = Date.now()
    create({ processBatch, maxErrorBackoffMs: 500 }).start(handler, onError)
    await advance(100 + 200 + 400 + 500)
    healthy = true
    await advance(500 + 1000)
    healthy = false
    await advance(1000 + 100)
    const pauses = times.map((time, index) => time - (times[index - 1] ?? startedAt))
    expect(pauses).toEqual([0, 100, 200, 400, 500, 500, 1000, 1000, 100])
  })

  it("waits 30 seconds at most by default", async () => {
    const processBatch = vi.fn(() => Promise.reject(new Error("down")))
    create({ processBatch, baseBackoffMs: 1_000_000 }).start(handler, onError)
    await advance(29_999)
    expect(processBatch).toHaveBeenCalledTimes(1)
    await advance(1)
    expect(processBatch).toHaveBeenCalledTimes(2)
  })

  it("reports to the onError that is set by then", async () => {
    const other = vi.fn()
    create({ processBatch: () => Promise.reject(new Error("down")) }).start(handler, onError)
    expect(polling.onError).toBe(onError)
    polling.onError = other
    await settle()
    expect(other).toHaveBeenCalledOnce()
    expect(onError).not.toHaveBeenCalled()
  })

  it.each<[string, () => void]>([
    [
      "throws",
      () => {
        throw new Error("logger down")
      },
    ],
    ["rejects", () => Promise.reject(new Error("logger down"))],
  ])("goes on with nothing but a process warning when onError %s", async (_, broken) => {
    const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
    const processBatch = vi.fn(() => Promise.reject(new Error("down")))
    const performMaintenance = () => Promise.reject(new Error("no access"))
    create({ processBatch, performMaintenance }).start(handler, broken)
    await advance(100)
    expect(processBatch).toHaveBeenCalledTimes(2)
    expect(emitWarning).toHaveBeenCalledTimes(4)
  })
})

describe("calculateBackoff", () => {
  it("doubles from baseBackoffMs", () => {
    create({ baseBackoffMs: 1000 })
    expect([1, 2, 3, 4].map((attempt) => polling.calculateBackoff(attempt))).toEqual([1000, 2000, 4000, 8000])
  })

  it("varies by 10 % either way, in whole milliseconds", () => {
    create({ baseBackoffMs: 999 })
    vi.mocked(Math.random).mockReturnValue(0)
    expect(polling.calculateBackoff(1)).toBe(899)
    vi.mocked(Math.random).mockReturnValue(0.999999)
    expect(polling.calculateBackoff(1)).toBe(1098)
  })
})

describe("stop", () => {
  it("resolves before start, and twice", async () => {
    create({})
    await polling.stop()
    polling.start(handler, onError)
    await Promise.all([polling.stop(), polling.stop()])
    await polling.stop()
  })

  it.each<[string, () => Promise<void>]>([
    ["the pause", async () => {}],
    ["the delay after a failure", () => Promise.reject(new Error("down"))],
  ])("ends %s at once, and no poll follows", async (_, poll) => {
    const processBatch = vi.fn(poll)
    create({ processBatch }).start(handler, onError)
    await settle()
    await polling.stop()
    expect(vi.getTimerCount()).toBe(0)
    await advance(10_000)
    expect(processBatch).toHaveBeenCalledTimes(1)
  })

  it.each(["resolve", "reject"] as const)(
    "waits for the poll under way, and resolves when it %ss",
    async (how) => {
      const { polls, processBatch } = manualPolls()
      create({ processBatch }).start(handler, onError)
      const stopped = vi.fn()
      const stop = polling.stop().then(stopped)
      await advance(10_000)
      expect(stopped).not.toHaveBeenCalled()
      polls[0]?.[how](new Error("down") as never)
      await stop
      expect(onError).toHaveBeenCalledTimes(how === "reject" ? 1 : 0)
      await advance(10_000)
      expect(processBatch).toHaveBeenCalledTimes(1)
    },
  )

  it("waits for the poll that calls it", async () => {
    let stopped: Promise<void> | undefined
    const work = deferred()
    const isStopped = vi.fn()
    const processBatch = vi.fn(() => {
      stopped = polling.stop().then(isStopped)
      return work.promise
    })
    create({ processBatch }).start(handler, onError)
    await advance(10_000)
    expect(isStopped).not.toHaveBeenCalled()
    work.resolve()
    await stopped
    expect(processBatch).toHaveBeenCalledTimes(1)
  })
})

describe("start after stop", () => {
  it("polls at once with the new handler when stop was awaited", async () => {
    const processBatch = vi.fn(async () => {})
    const other = async () => {}
    create({ processBatch }).start(handler, onError)
    await settle()
    await polling.stop()
    polling.start(other, onError)
    expect(processBatch.mock.calls).toEqual([[handler], [other]])
  })

  it("lets no poll run beside the one under way when stop was not awaited", async () => {
    const { polls, processBatch } = manualPolls()
    create({ processBatch }).start(handler, onError)
    const firstStop = polling.stop()
    polling.start(handler, onError)
    await advance(10_000)
    expect(processBatch).toHaveBeenCalledTimes(1)
    polls[0]?.resolve()
    await firstStop
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(2)
    polls[1]?.resolve()
    await advance(1000)
    expect(processBatch).toHaveBeenCalledTimes(3)
    polls[2]?.resolve()
  })

  it("leaves one loop, however often they alternate", async () => {
    const processBatch = vi.fn(async () => {})
    create({ processBatch }).start(handler, onError)
    for (let round = 0; round < 5; round += 1) {
      void polling.stop()
      polling.start(handler, onError)
    }
    await settle()
    processBatch.mockClear()
    await advance(3000)
    expect(processBatch).toHaveBeenCalledTimes(3)
  })

  it("does not poll any more when stopped again before its turn", async () => {
    const { polls, processBatch } = manualPolls()
    create({ processBatch }).start(handler, onError)
    void polling.stop()
    polling.start(handler, onError)
    const stop = polling.stop()
    polls[0]?.resolve()
    await stop
    await advance(10_000)
    expect(processBatch).toHaveBeenCalledTimes(1)
  })
})

describe("wake", () => {
  it("polls now instead of after the pause, and the pause begins anew", async () => {
    const processBatch = vi.fn(async () => {})
    create({ processBatch }).start(handler, onError)
    await advance(300)
    polling.wake()
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(2)
    await advance(999)
    expect(processBatch).toHaveBeenCalledTimes(2)
    await advance(1)
    expect(processBatch).toHaveBeenCalledTimes(3)
  })

  it("during a poll makes one more follow it immediately, however often it is called", async () => {
    const { polls, processBatch } = manualPolls()
    create({ processBatch }).start(handler, onError)
    polling.wake()
    polling.wake()
    expect(processBatch).toHaveBeenCalledTimes(1)
    polls[0]?.resolve()
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(2)
    polls[1]?.resolve()
    await advance(999)
    expect(processBatch).toHaveBeenCalledTimes(2)
  })

  it("does not shorten the delay after a failure, whether called before or during it", async () => {
    const { polls, processBatch } = manualPolls()
    create({ processBatch }).start(handler, onError)
    polling.wake()
    polls[0]?.reject(new Error("down"))
    await settle()
    polling.wake()
    await advance(99)
    expect(processBatch).toHaveBeenCalledTimes(1)
    await advance(1)
    expect(processBatch).toHaveBeenCalledTimes(2)
    polls[1]?.resolve()
    await advance(999)
    expect(processBatch).toHaveBeenCalledTimes(2)
  })

  it("does nothing before start and after stop", async () => {
    const processBatch = vi.fn(async () => {})
    create({ processBatch })
    polling.wake()
    polling.start(handler, onError)
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(1)
    await polling.stop()
    polling.wake()
    await advance(10_000)
    expect(processBatch).toHaveBeenCalledTimes(1)
  })

  it("keeps the caller's async context out of the poll, paused or under way", async () => {
    const transaction = new AsyncLocalStorage<string>()
    const seen: (string | undefined)[] = []
    const { polls, processBatch } = manualPolls()
    create({
      performMaintenance: async () => void seen.push(transaction.getStore()),
      processBatch: () => {
        seen.push(transaction.getStore())
        return processBatch()
      },
    })
    transaction.run("of start", () => polling.start(handler, onError))
    await settle()
    transaction.run("of a publisher", () => polling.wake())
    transaction.run("of a batch", () => polls[0]?.resolve())
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(2)
    polls[1]?.resolve()
    await settle()
    transaction.run("of a publisher", () => polling.wake())
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(3)
    polls[2]?.resolve()
    expect(seen).toEqual(Array(6).fill("of start"))
  })
})
