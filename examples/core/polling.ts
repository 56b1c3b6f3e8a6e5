// The poll loop of an outbox of your own.
import { type BusEvent, type ErrorHandler, PollingService } from "outbox-event-bus"

interface Store {
  fetchDueEvents(): Promise<BusEvent[]>
  recoverAbandonedEvents(): Promise<void>
}

export function poll(store: Store, handler: (event: BusEvent) => Promise<void>, onError: ErrorHandler) {
  // #region polling
  const polling = new PollingService({
    pollIntervalMs: 1000,
    baseBackoffMs: 1000,
    maxErrorBackoffMs: 30_000,
    performMaintenance: () => store.recoverAbandonedEvents(),
    processBatch: async (handler) => {
      for (const event of await store.fetchDueEvents()) await handler(event)
    },
  })
  polling.start(handler, onError)
  // #endregion
  return polling
}
