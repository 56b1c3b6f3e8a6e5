/** Test doubles of the bus and of outboxes, typed as users' tests type them. */
import type { BusEvent, IOutbox, IOutboxEventBus, IPublisher, OutboxEventBus } from "outbox-event-bus"

type Emitter = Pick<IOutboxEventBus<unknown>, "emitMany">

/** The parameters are inferred: a method with overloads would leave them implicitly `any`. */
export const emitter: Emitter = {
  emitMany: async (events, transaction) => {
    for (const event of events) console.log(event.type, event.payload, event.id?.length, transaction)
  },
}

export const emitOnly: Pick<IOutboxEventBus<string>, "emit"> = {
  emit: async (event, transaction) => console.log(event.type, transaction?.length),
}

export const lifecycle: Pick<IOutboxEventBus<unknown>, "start" | "stop"> = {
  start: () => {},
  stop: async () => {},
}

export const waiting: Pick<OutboxEventBus<unknown>, "waitFor" | "listenerCount" | "eventNames"> = {
  waitFor: (eventType, timeoutMs) => Promise.reject(new Error(`${eventType} ${timeoutMs}`)),
  listenerCount: (eventType) => eventType.length,
  eventNames: () => [],
}

export class FakeOutbox implements IOutbox<unknown> {
  readonly published: BusEvent[] = []
  async publish(events: BusEvent[]) {
    this.published.push(...events)
  }
  async getFailedEvents() {
    return []
  }
  async retryEvents() {}
  start() {}
  async stop() {}
}

export const publisher: IPublisher = { subscribe: (eventTypes) => console.log(eventTypes.join()) }

/** What a service takes is less than a bus, and a bus is all of it. */
export class OrderService {
  constructor(private readonly bus: Pick<IOutboxEventBus<unknown>, "emit" | "emitMany">) {}

  async place(orderIds: string[]): Promise<void> {
    await this.bus.emitMany(orderIds.map((orderId) => ({ type: "order.placed", payload: { orderId } })))
    await this.bus.emit({ type: "orders.counted", payload: orderIds.length })
  }
}
export const withFake = new OrderService({ ...emitter, ...emitOnly })
export const withBus = (bus: OutboxEventBus<unknown>) => new OrderService(bus)
