// What a poll does, how polls follow each other, and what becomes of failures.

import { describe, expect, it, vi } from "vitest"
import { deferred } from "./deferred.fixture.ts"
import { ConfigurationError, MaintenanceError, OperationalError } from "./errors.ts"
import {
  advance,
  create,
  handler,
  manualPolls,
  onError,
  settle,
  useFakeClock,
} from "./polling-service.fixture.ts"

useFakeClock()

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

  it("sets onError and nothing else while started", async () => {
    const processBatch = vi.fn(async () => {})
    const polling = create({ processBatch })
    const other = vi.fn()
    polling.start(handler, onError)
    polling.start(async () => {}, other)
    expect(polling.onError).toBe(other)
    await advance(1000)
    expect(processBatch.mock.calls).toEqual([[handler], [handler]])
    processBatch.mockRejectedValue(new Error("down"))
    await advance(1000)
    expect(other).toHaveBeenCalledOnce()
    expect(onError).not.toHaveBeenCalled()
  })

  it("calls the functions as methods of the config", async () => {
    const config = {
      polled: 0,
      async processBatch() {
        this.polled += 1
      },
    }
    create(config).start(handler, onError)
    await settle()
    expect(config.polled).toBe(1)
  })

  it("takes null as the default: 1000, 1000 and 30000 ms", async () => {
    const processBatch = vi.fn(async () => {})
    const absent = { pollIntervalMs: null, baseBackoffMs: null, maxErrorBackoffMs: null } as object
    const polling = create({ ...absent, processBatch })
    polling.start(handler, onError)
    await advance(999)
    expect(processBatch).toHaveBeenCalledTimes(1)
    await advance(1)
    expect(processBatch).toHaveBeenCalledTimes(2)
    expect(polling.calculateBackoff(1)).toBe(1000)
    processBatch.mockRejectedValue(new Error("down"))
    await advance(1000 + 2000 + 4000 + 8000 + 16_000)
    processBatch.mockClear()
    await advance(29_999)
    expect(processBatch).not.toHaveBeenCalled()
    await advance(1)
    expect(processBatch).toHaveBeenCalledOnce()
  })

  it.each([Number.POSITIVE_INFINITY, 2 ** 31])("takes %d ms as the longest that timers wait", async (ms) => {
    const processBatch = vi.fn(async () => {})
    const polling = create({
      processBatch,
      pollIntervalMs: ms,
      baseBackoffMs: ms,
      maxErrorBackoffMs: ms,
    })
    polling.start(handler, onError)
    await advance(2 ** 31 - 2)
    expect(processBatch).toHaveBeenCalledTimes(1)
    processBatch.mockRejectedValue(new Error("down"))
    await advance(1 + 2 ** 31 - 2)
    expect(processBatch).toHaveBeenCalledTimes(2)
  })

  it.each([
    ["pollIntervalMs", -1],
    ["baseBackoffMs", Number.NaN],
    ["maxErrorBackoffMs", -Infinity],
    ["pollIntervalMs", "10"],
  ])("refuses %s = %o by name, value and what is allowed", (option, value) => {
    const attempt = () => create({ [option]: value })
    expect(attempt).toThrow(ConfigurationError)
    expect(attempt).toThrow(option)
    expect(attempt).toThrow(String(value))
    expect(attempt).toThrow("Allowed: milliseconds, at least 0")
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

  it("is followed by delays that double from twice baseBackoffMs to maxErrorBackoffMs, until a poll succeeds", async () => {
    let healthy = false
    const times: number[] = []
    const processBatch = async () => {
      times.push(Date.now())
      if (!healthy) throw new Error("down")
    }
    const startedAt = Date.now()
    create({ processBatch, maxErrorBackoffMs: 500 }).start(handler, onError)
    await advance(200 + 400 + 500)
    healthy = true
    await advance(500 + 1000)
    healthy = false
    await advance(1000 + 200)
    const pauses = times.map((time, index) => time - (times[index - 1] ?? startedAt))
    expect(pauses).toEqual([0, 200, 400, 500, 500, 1000, 1000, 200])
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
    const polling = create({ processBatch: () => Promise.reject(new Error("down")) })
    polling.start(handler, onError)
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
    await advance(200)
    expect(processBatch).toHaveBeenCalledTimes(2)
    expect(emitWarning).toHaveBeenCalledTimes(4)
  })
})

describe("calculateBackoff", () => {
  it("doubles from baseBackoffMs", () => {
    const polling = create({ baseBackoffMs: 1000 })
    expect([1, 2, 3, 4].map((attempt) => polling.calculateBackoff(attempt))).toEqual([1000, 2000, 4000, 8000])
  })

  it("is a number after any count of failures, also without backoff", () => {
    expect(create({ baseBackoffMs: 0 }).calculateBackoff(5000)).toBe(0)
    expect(create({ baseBackoffMs: 1 }).calculateBackoff(5000)).toBe(Number.POSITIVE_INFINITY)
  })

  it("varies by 10 % either way, in whole milliseconds", () => {
    const polling = create({ baseBackoffMs: 999 })
    vi.mocked(Math.random).mockReturnValue(0)
    expect(polling.calculateBackoff(1)).toBe(899)
    vi.mocked(Math.random).mockReturnValue(0.999999)
    expect(polling.calculateBackoff(1)).toBe(1098)
  })
})
