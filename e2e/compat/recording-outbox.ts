/** An outbox as a user's test writes one: it records what is published, and delivers what the test tells it to. */
import type { BusEvent, ErrorHandler, FailedBusEvent, IOutbox } from "outbox-event-bus"
import { vi } from "vitest"

type Handler = (event: BusEvent) => Promise<void>

export class RecordingOutbox implements IOutbox<string> {
  readonly publish = vi.fn(async (_events: BusEvent[], _transaction?: string): Promise<void> => {})
  readonly getFailedEvents = vi.fn(async (): Promise<FailedBusEvent[]> => [])
  readonly retryEvents = vi.fn(async (_eventIds: string[]): Promise<void> => {})
  readonly start = vi.fn((_handler: Handler, _onError: ErrorHandler): void => {})
  readonly stop = vi.fn(async (): Promise<void> => {})

  /** Settles as the handling of the event does. */
  deliver(event: BusEvent): Promise<void> {
    const call = this.start.mock.lastCall
    if (!call) throw new Error("The bus has not started this outbox")
    return call[0](event)
  }
}

export const anEvent = (event: Partial<BusEvent> = {}): BusEvent => ({
  id: "event-1",
  type: "order.placed",
  payload: { orderId: "42" },
  occurredAt: new Date("2024-01-01T00:00:00.000Z"),
  ...event,
})
