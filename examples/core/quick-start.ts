// The bus with the in-memory outbox: no database, for tests and prototypes.
// #region quick-start
import type { BusEvent } from "outbox-event-bus"
import { InMemoryOutbox, OutboxEventBus } from "outbox-event-bus"

type OrderPlaced = BusEvent<"order.placed", { orderId: string }>

const bus = new OutboxEventBus(new InMemoryOutbox(), (error) => console.error(error))

bus.on("order.placed", async (event: OrderPlaced) => {
  console.log(`ship ${event.payload.orderId}`)
})

bus.start()
await bus.emit({ type: "order.placed", payload: { orderId: "42" } })
await bus.stop()
// #endregion
