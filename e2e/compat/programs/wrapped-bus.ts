/** A bus that is extended, and one that is passed on as less than it is. */
import { type AnyListener, type EventHandler, type IOutboxEventBus, OutboxEventBus } from "outbox-event-bus"

export class TracingBus extends OutboxEventBus<string> {
  readonly seen: string[] = []

  override on<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P>): this {
    this.seen.push(`on ${eventType}`)
    return super.on(eventType, handler)
  }

  override off<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P> | AnyListener): this {
    this.seen.push(`off ${eventType}`)
    return super.off(eventType, handler)
  }
}

export const created = (bus: OutboxEventBus<string>): IOutboxEventBus<string> => Object.create(bus)

export const logged = <TTransaction>(bus: IOutboxEventBus<TTransaction>): IOutboxEventBus<TTransaction> =>
  new Proxy(bus, {
    get(target, property, receiver) {
      console.debug(property)
      return Reflect.get(target, property, receiver)
    },
  })
