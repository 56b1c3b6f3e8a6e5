// Event types and payloads checked by the compiler.
import { InMemoryOutbox, OutboxEventBus } from "outbox-event-bus"

// #region typed-events
interface ShopEvents {
  "order.placed": { orderId: string }
  "order.shipped": { orderId: string; carrier: string }
}

const bus = new OutboxEventBus<unknown, ShopEvents>(new InMemoryOutbox(), (error) => console.error(error))

bus.subscribe(["order.placed", "order.shipped"], async (event) => {
  if (event.type === "order.shipped") console.log(event.payload.carrier)
})
await bus.emit({ type: "order.placed", payload: { orderId: "42" } })
// @ts-expect-error Type 'number' is not assignable to type 'string'.
await bus.emit({ type: "order.placed", payload: { orderId: 42 } })
// #endregion
