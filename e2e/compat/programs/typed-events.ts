/** Events that are typed one by one, without a map of all types: as programs have it today. */
import {
  type AnyListener,
  type BusEvent,
  type BusEventInput,
  type EventHandler,
  type FailedBusEvent,
  InMemoryOutbox,
  type InMemoryOutboxConfig,
  type IOutboxEventBus,
  OutboxEventBus,
} from "outbox-event-bus"

type OrderPlaced = BusEvent<"order.placed", { orderId: string; total: number }>
type OrderShipped = BusEvent<"order.shipped", { orderId: string }>

const config: InMemoryOutboxConfig = { maxRetries: 1 }
export const bus: OutboxEventBus<unknown> = new OutboxEventBus(new InMemoryOutbox(config), (error) =>
  console.error(error.message),
)
export const asInterface = (): IOutboxEventBus<unknown> => bus

// The type of an event by annotation, by type arguments, or not at all.
bus.on("order.placed", async (event: OrderPlaced) => console.log(event.payload.total.toFixed(2)))
bus.on<"order.shipped", OrderShipped["payload"]>("order.shipped", async ({ type, payload }) => {
  const literal: "order.shipped" = type
  console.log(literal, payload.orderId.length)
})
bus.on("unknown.payload", async (event) => {
  const payload: unknown = event.payload
  console.log(payload, event.occurredAt.getTime(), event.metadata?.traceId)
})
bus.once("order.once", async (event: BusEvent<"order.once", number>) => console.log(event.payload + 1))
bus.subscribe(["a", "b"], async (event) => console.log(event.type))

export const handlePlaced: EventHandler<"order.placed", OrderPlaced["payload"]> = async (event) =>
  console.log(event.payload.orderId)
bus.addListener("order.placed", handlePlaced).off("order.placed", handlePlaced)
const listener: AnyListener | undefined = bus.getListener("order.placed")
if (listener) bus.removeListener("order.placed", listener)

export async function emitAll(orderId: string): Promise<void> {
  await bus.emit({ type: "order.placed", payload: { orderId, total: 1 } })
  await bus.emit<"order.placed", OrderPlaced["payload"]>({
    type: "order.placed",
    payload: { orderId, total: 1 },
  })
  await bus.emit({
    type: "with.all",
    payload: null,
    id: "1",
    occurredAt: new Date(),
    metadata: { traceId: "t" },
  })
  await bus.emit({ type: "filled.in", payload: 1, id: undefined, occurredAt: undefined }, "transaction")
  // Events of several types in one call.
  await bus.emitMany([
    { type: "order.placed", payload: { orderId, total: 1 } },
    { type: "order.shipped", payload: { orderId } },
  ])
  const inputs: BusEventInput<"order.shipped", { orderId: string }>[] = [
    { type: "order.shipped", payload: { orderId } },
  ]
  await bus.emitMany(inputs)
  const complete: BusEvent[] = []
  await bus.emitMany(complete)
}

export const placed: Promise<BusEvent<"order.placed", { orderId: string }>> = bus.waitFor("order.placed", 100)
export const inferred = async () =>
  (await bus.waitFor<"order.placed", { orderId: string }>("order.placed")).payload.orderId

export const failures = async (): Promise<string[]> => {
  const failed: FailedBusEvent[] = await bus.getFailedEvents()
  await bus.retryEvents(failed.map(({ id }) => id))
  return failed.map(
    ({ error, retryCount, lastAttemptAt }) => `${error} ${retryCount} ${lastAttemptAt?.getTime()}`,
  )
}
export const counts: number = bus.getSubscriptionCount() + bus.listenerCount("a") + bus.eventNames().length
bus.removeAllListeners("a").removeAllListeners()
