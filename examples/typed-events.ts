// Event types and payloads checked by the compiler.
import type {
  DynamoDBAwsSdkOutbox,
  DynamoDBAwsSdkTransactionCollector,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { OutboxEventBus } from "outbox-event-bus"

export async function shop(outbox: DynamoDBAwsSdkOutbox) {
  // #region typed-events
  interface ShopEvents {
    "order.placed": { orderId: string; total: number }
    "order.shipped": { orderId: string; carrier: string }
  }

  const bus = new OutboxEventBus<DynamoDBAwsSdkTransactionCollector, ShopEvents>(outbox, (error) =>
    console.error(error),
  )

  bus.on("order.placed", async (event) => {
    console.log(event.payload.total) // a number, without an annotation
  })

  await bus.emit({ type: "order.placed", payload: { orderId: "42", total: 99 } })
  // @ts-expect-error a typo in the type
  await bus.emit({ type: "order.plced", payload: { orderId: "42", total: 99 } })
  // @ts-expect-error a missing field
  await bus.emit({ type: "order.placed", payload: { orderId: "42" } })
  // #endregion
}
