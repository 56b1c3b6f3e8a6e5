/** `PollingService`, on which third-party adapters stand. */
import {
  MaintenanceError,
  OperationalError,
  PollingService,
  type PollingServiceConfig,
  ValidationError,
} from "outbox-event-bus"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"

beforeEach(() => {
  vi.useFakeTimers()
  // No jitter.
  vi.spyOn(Math, "random").mockReturnValue(0.5)
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms)
const handler = async () => {}

function createService(options: Partial<PollingServiceConfig> = {}) {
  const processBatch = vi.fn<PollingServiceConfig["processBatch"]>(async () => {})
  const service = new PollingService({ pollIntervalMs: 1000, baseBackoffMs: 100, processBatch, ...options })
  return { service, processBatch }
}

it("polls at once, then a pause after each poll has ended, with the handler of start", async () => {
  let end = () => {}
  const processBatch = vi.fn<PollingServiceConfig["processBatch"]>(async () => {})
  processBatch.mockImplementationOnce(
    () =>
      new Promise((resolve) => {
        end = resolve
      }),
  )
  const { service } = createService({ processBatch })
  service.start(handler, () => {})
  expect(processBatch).toHaveBeenCalledExactlyOnceWith(handler)
  await pass(5000)
  expect(processBatch).toHaveBeenCalledOnce()
  end()
  await pass(999)
  expect(processBatch).toHaveBeenCalledOnce()
  await pass(1)
  expect(processBatch).toHaveBeenCalledTimes(2)
  await service.stop()
  await pass(5000)
  expect(processBatch).toHaveBeenCalledTimes(2)
})

describe("maintenance", () => {
  it("runs before the batch of each poll", async () => {
    const order: string[] = []
    const { service } = createService({
      performMaintenance: async () => void order.push("maintenance"),
      processBatch: async () => void order.push("batch"),
    })
    service.start(handler, () => {})
    await pass(1000)
    await service.stop()
    expect(order).toEqual(["maintenance", "batch", "maintenance", "batch"])
  })

  it("that fails is reported, and the batch is processed all the same", async () => {
    const cause = new Error("boom")
    const { service, processBatch } = createService({ performMaintenance: () => Promise.reject(cause) })
    const onError = vi.fn()
    service.start(handler, onError)
    await pass()
    await service.stop()
    expect(onError).toHaveBeenCalledExactlyOnceWith(expect.any(MaintenanceError))
    expect(onError.mock.lastCall?.[0]).toMatchObject({ cause, message: "Maintenance operation failed: boom" })
    expect(processBatch).toHaveBeenCalledOnce()
  })
})

describe("a poll that fails", () => {
  it("is reported as an OperationalError, an OutboxError as it is", async () => {
    const cause = new Error("boom")
    const own = new ValidationError("own")
    const processBatch = vi
      .fn()
      .mockRejectedValueOnce(cause)
      .mockRejectedValueOnce(own)
      .mockResolvedValue(undefined)
    const { service } = createService({ processBatch })
    const onError = vi.fn()
    service.start(handler, onError)
    await pass(1000)
    await service.stop()
    expect(onError).toHaveBeenCalledTimes(2)
    expect(onError.mock.calls[0]?.[0]).toBeInstanceOf(OperationalError)
    expect(onError.mock.calls[0]?.[0]).toMatchObject({ cause, message: "Polling cycle failed" })
    expect(onError.mock.calls[1]?.[0]).toBe(own)
  })

  it.each([
    [undefined, [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]],
    [1000, [200, 400, 800, 1000, 1000]],
  ])("is followed by a growing pause, with maxErrorBackoffMs %s", async (maxErrorBackoffMs, pauses) => {
    const { service } = createService({
      processBatch: vi.fn(() => Promise.reject(new Error("boom"))),
      ...(maxErrorBackoffMs !== undefined && { maxErrorBackoffMs }),
    })
    const polls: number[] = []
    service.start(handler, () => polls.push(Date.now()))
    await pass(pauses.reduce((sum, pause) => sum + pause, 0))
    await service.stop()
    expect(polls.slice(1).map((time, index) => time - (polls[index] ?? 0))).toEqual(pauses)
  })
})

it.each([
  [0, 0.9],
  [0.5, 1],
  [0.999999, 1.1],
])("calculateBackoff doubles, give or take 10 percent (Math.random() is %s)", (random, factor) => {
  vi.spyOn(Math, "random").mockReturnValue(random)
  const { service } = createService()
  for (const attempt of [1, 2, 3, 8]) {
    const backoff = service.calculateBackoff(attempt)
    expect(Number.isInteger(backoff)).toBe(true)
    expect(Math.abs(backoff - 100 * 2 ** (attempt - 1) * factor)).toBeLessThan(2)
  }
})

it("onError is public, and set anew by a second start", async () => {
  const cause = new Error("boom")
  const { service } = createService({ processBatch: () => Promise.reject(cause) })
  const [first, second, third] = [vi.fn(), vi.fn(), vi.fn()]
  service.start(handler, first)
  expect(service.onError).toBe(first)
  service.start(handler, second)
  expect(service.onError).toBe(second)
  await pass()
  expect(first).not.toHaveBeenCalled()
  expect(second).toHaveBeenCalledOnce()
  service.onError = third
  await pass(200)
  await service.stop()
  expect(third).toHaveBeenCalledOnce()
})

it("stop waits for the poll under way, never rejects, and is safe before start and twice", async () => {
  let fail = () => {}
  const { service } = createService({
    processBatch: () =>
      new Promise((_, reject) => {
        fail = () => reject(new Error("boom"))
      }),
  })
  await service.stop()
  service.start(handler, () => {
    throw new Error("an error handler that throws")
  })
  // What an error handler throws is a process warning.
  vi.spyOn(process, "emitWarning").mockImplementation(() => {})
  let stopped = false
  const stopping = Promise.all([service.stop(), service.stop()]).then(() => {
    stopped = true
  })
  await pass(10_000)
  expect(stopped).toBe(false)
  fail()
  await stopping
})

it.each([true, false])("start after a stop (awaited: %s) never leaves two loops", async (awaited) => {
  const { service, processBatch } = createService()
  service.start(handler, () => {})
  await pass()
  const stopping = service.stop()
  if (awaited) await stopping
  service.start(handler, () => {})
  await pass()
  processBatch.mockClear()
  await pass(10_000)
  expect(processBatch).toHaveBeenCalledTimes(10)
  await service.stop()
})
