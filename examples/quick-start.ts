// The shortest program that stores business data and an event in one transaction, and handles the event. It needs the tables
// `outbox` and `orders` of infrastructure/ and AWS credentials. With `npm run dynamodb` in another terminal, it runs locally.
// #region quick-start
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import {
  DynamoDBAwsSdkOutbox,
  type DynamoDBAwsSdkTransactionCollector,
  getDynamoDBAwsSdkCollector,
  withDynamoDBAwsSdkTransaction,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { OutboxEventBus } from "outbox-event-bus"

/** Each event type with its payload; the compiler checks them. */
interface Events {
  "order.placed": { orderId: string }
}

const client = new DynamoDBClient({})
const outbox = new DynamoDBAwsSdkOutbox({
  client,
  tableName: "outbox",
  getCollector: getDynamoDBAwsSdkCollector(),
})
const bus = new OutboxEventBus<DynamoDBAwsSdkTransactionCollector, Events>(outbox, (error) => {
  console.error(error)
})

// Runs after the commit, possibly in another process. If it throws, the event is retried with backoff.
bus.on("order.placed", async (event) => {
  console.log(`ship order ${event.payload.orderId}`)
})
bus.start()

async function placeOrder(orderId: string) {
  await withDynamoDBAwsSdkTransaction(
    async (transaction) => {
      transaction.push({ Put: { TableName: "orders", Item: { orderId, status: "placed" } } })
      await bus.emit({ type: "order.placed", payload: { orderId } })
    },
    { client },
  )
}

await placeOrder("42")

process.once("SIGTERM", () => bus.stop())
// #endregion
