// A publisher that forwards events in batches, with every option at its default except `maxBatchSize`.
import { type BusEvent, EventPublisher, type OutboxEventBus } from "outbox-event-bus"

/** Something that accepts batches and may refuse single events. */
type SendAll = (events: BusEvent[]) => Promise<{ refused: { id: string; reason: string }[] }>

export function forward(bus: OutboxEventBus<unknown>, sendAll: SendAll): void {
  // #region publisher
  const publisher = new EventPublisher(bus, {
    retryConfig: { maxAttempts: 3, initialDelayMs: 1000, maxDelayMs: 10_000 },
    processingConfig: { bufferSize: 50, bufferTimeoutMs: 100, concurrency: 5, maxBatchSize: 10 },
  })
  publisher.subscribe(["order.placed", "order.shipped"], async (events) => {
    const { refused } = await sendAll(events)
    return { failed: refused.map(({ id, reason }) => ({ id, error: new Error(reason) })) }
  })
  // #endregion
}
