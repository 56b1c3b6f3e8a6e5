/** `EventPublisher`, on which publishers to queues and topics stand. */
import { type BusEvent, EventPublisher, OutboxEventBus, type PublisherConfig } from "outbox-event-bus"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { anEvent, RecordingOutbox } from "./recording-outbox.ts"

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms)

function createPublisher(config?: PublisherConfig, types = ["order.placed"]) {
  const outbox = new RecordingOutbox()
  const bus = new OutboxEventBus(outbox, () => {})
  bus.start()
  const send = vi.fn(async (_events: BusEvent[]): Promise<void> => {})
  const publisher = config ? new EventPublisher(bus, config) : new EventPublisher(bus)
  publisher.subscribe(types, send)
  const deliver = (count: number) =>
    Promise.all(Array.from({ length: count }, (_, index) => outbox.deliver(anEvent({ id: String(index) }))))
  return { bus, send, deliver, sizes: () => send.mock.calls.map(([events]) => events.length) }
}

it("has its defaults as statics", () => {
  expect(EventPublisher.DEFAULT_BUFFER_SIZE).toBe(50)
  expect(EventPublisher.DEFAULT_BUFFER_TIMEOUT_MS).toBe(100)
  expect(EventPublisher.DEFAULT_CONCURRENCY).toBe(5)
  expect(EventPublisher.DEFAULT_RETRY_ATTEMPTS).toBe(3)
  expect(EventPublisher.DEFAULT_RETRY_DELAY_MS).toBe(1000)
  expect(EventPublisher.DEFAULT_RETRY_MAX_DELAY_MS).toBe(10_000)
})

it("subscribes one handler for all types", () => {
  const { bus } = createPublisher(undefined, ["a", "b"])
  expect(bus.eventNames()).toEqual(["a", "b"])
})

it("sends a buffer of 50 at once, and a smaller one after 100 ms", async () => {
  const { deliver, sizes } = createPublisher()
  const full = deliver(50)
  await pass()
  expect(sizes()).toEqual([50])
  await full
  const rest = deliver(3)
  await pass(99)
  expect(sizes()).toEqual([50])
  await pass(1)
  expect(sizes()).toEqual([50, 3])
  await rest
})

it("runs 5 batches at once, and lets an event wait for its own batch", async () => {
  const { send, deliver } = createPublisher({ processingConfig: { bufferSize: 1 } })
  const ends: (() => void)[] = []
  send.mockImplementation(() => new Promise((resolve) => void ends.push(resolve)))
  let handled = false
  const all = deliver(6).then(() => {
    handled = true
  })
  await pass()
  expect(send).toHaveBeenCalledTimes(5)
  ends[0]?.()
  await pass()
  expect(send).toHaveBeenCalledTimes(6)
  for (const end of ends.slice(1, -1)) end()
  await pass()
  expect(handled).toBe(false)
  ends.at(-1)?.()
  await all
})

it("splits batches above maxBatchSize", async () => {
  const config = EventPublisher.withOverrides(
    { processingConfig: { bufferSize: 25, maxBatchSize: 99 } },
    { maxBatchSize: 10 },
  )
  expect(config).toEqual({ processingConfig: { bufferSize: 25, maxBatchSize: 10 } })
  const { deliver, sizes } = createPublisher(config)
  await deliver(25)
  expect(sizes()).toEqual([10, 10, 5])
})

it.each([
  [undefined, [1000, 2000]],
  [{ maxAttempts: 6 }, [1000, 2000, 4000, 8000, 10_000]],
  [{ maxAttempts: 4, initialDelayMs: 10, maxDelayMs: 15 }, [10, 15, 15]],
])("retries a batch with exponential delays (%o), then fails its events", async (retryConfig, delays) => {
  const { send, deliver } = createPublisher({
    processingConfig: { bufferSize: 1 },
    ...(retryConfig && { retryConfig }),
  })
  const failure = new Error("boom")
  const times: number[] = []
  send.mockImplementation(async () => {
    times.push(Date.now())
    throw failure
  })
  const outcome = deliver(1).catch((error: unknown) => error)
  await pass(60_000)
  expect(await outcome).toBe(failure)
  expect(times.slice(1).map((time, index) => time - (times[index] ?? 0))).toEqual(delays)
})
