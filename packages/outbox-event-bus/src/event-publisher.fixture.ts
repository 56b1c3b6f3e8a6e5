// A publisher on a fake clock, whose bus delivers what a test tells it to.

import { afterEach, beforeEach, expect, vi } from "vitest"
import type { BusEvent } from "./event.ts"
import { EventPublisher } from "./event-publisher.ts"
import { ManualOutbox } from "./manual-outbox.fixture.ts"
import { OutboxEventBus } from "./outbox-event-bus.ts"
import type { BatchOutcome, PublisherConfig } from "./publisher.ts"

export const handler = vi.fn<(events: BusEvent[]) => Promise<BatchOutcome | undefined>>()
export const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms)
export const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1)
/** The payloads of each batch that the handler was given. */
export const batches = () => handler.mock.calls.map(([events]) => events.map(({ payload }) => payload))

let outbox: ManualOutbox
export let bus: OutboxEventBus<string>

export function subscribe(config?: PublisherConfig, type = "a"): EventPublisher<string> {
  const publisher = new EventPublisher(bus, config)
  publisher.subscribe([type], handler)
  return publisher
}

/** Delivers events with these payloads at once; settles when all of them have. The id of each is its payload as a string. */
export function deliver(payloads: unknown[], type = "a") {
  const events = payloads.map((payload) => ({ id: String(payload), type, payload }))
  return Promise.allSettled(events.map((event) => outbox.deliver(event)))
}

/** Gives each test a bus of its own and a fake clock, and sees that no timer is left after it. */
export function useBusOnFakeClock(): void {
  beforeEach(() => {
    vi.useFakeTimers()
    handler.mockReset().mockResolvedValue(undefined)
    outbox = new ManualOutbox()
    bus = new OutboxEventBus(outbox, () => {})
    bus.start()
  })
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
  })
}
