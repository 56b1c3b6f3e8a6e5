// An outbox that records what is published and delivers what a test tells it to.

import { vi } from "vitest"
import type { BusEvent, FailedBusEvent } from "./event.ts"
import type { ErrorHandler, IOutbox } from "./outbox.ts"

export class ManualOutbox implements IOutbox<string> {
  readonly publish = vi.fn(async (_events: BusEvent[], _transaction?: string) => {})
  readonly getFailedEvents = vi.fn(async (): Promise<FailedBusEvent[]> => [])
  readonly retryEvents = vi.fn(async (_ids: string[]) => {})
  readonly stop = vi.fn(async () => {})
  readonly start = vi.fn((handler: (event: BusEvent) => Promise<void>, _onError: ErrorHandler) => {
    this.#handler = handler
  })
  #handler: ((event: BusEvent) => Promise<void>) | undefined

  /** Settles as the handling of the event does. */
  deliver(event: Partial<BusEvent>): Promise<void> {
    if (!this.#handler) throw new Error("The outbox is not started")
    return this.#handler(anEvent(event))
  }

  get published(): BusEvent[] {
    return this.publish.mock.calls.flatMap(([events]) => events)
  }
}

export function anEvent(event: Partial<BusEvent> = {}): BusEvent {
  return { id: "event-1", type: "order.placed", payload: {}, occurredAt: new Date(0), ...event }
}
