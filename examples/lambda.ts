// The outbox in AWS Lambda: one function that stores events, and a scheduled one that delivers them.
// #region lambda
import { setTimeout as delay } from "node:timers/promises"
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import {
  DynamoDBAwsSdkOutbox,
  getDynamoDBAwsSdkCollector,
  withDynamoDBAwsSdkTransaction,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import type { APIGatewayProxyHandlerV2, ScheduledHandler } from "aws-lambda"
import { type BusEvent, OutboxEventBus } from "outbox-event-bus"

type OrderPlaced = BusEvent<"order.placed", { orderId: string }>

const client = new DynamoDBClient({})
const documents = DynamoDBDocumentClient.from(client)
const outbox = new DynamoDBAwsSdkOutbox({
  client,
  tableName: "outbox",
  getCollector: getDynamoDBAwsSdkCollector(),
})
const bus = new OutboxEventBus(outbox, (error) => console.error(error))
bus.on("order.placed", async (event: OrderPlaced) => {
  console.log(`ship order ${event.payload.orderId}`)
})

/** Stores an order and its event. It never starts the relay: the environment is frozen between two requests. */
export const placeOrder: APIGatewayProxyHandlerV2 = async ({ body }) => {
  const { orderId } = JSON.parse(body ?? "{}")
  await withDynamoDBAwsSdkTransaction(async (transaction) => {
    transaction.push({ Put: { TableName: "orders", Item: { orderId } } })
    await bus.emit({ type: "order.placed", payload: { orderId } })
    await documents.send(new TransactWriteCommand({ TransactItems: transaction.items }))
  })
  return { statusCode: 202 }
}

/** Delivers up to `batchSize` events and returns: for few events. */
export const deliverOnce: ScheduledHandler = async () => {
  bus.start()
  await bus.stop()
}

/** The time for the handlers that are running when delivery stops: longer than the slowest one. */
const STOP_MARGIN_MS = 5_000

/** Delivers for as long as an invocation may take: give it a timeout of 60 s, and run it once a minute. */
export const deliver: ScheduledHandler = async (_event, context) => {
  bus.start()
  await delay(Math.max(0, context.getRemainingTimeInMillis() - STOP_MARGIN_MS))
  await bus.stop()
}
// #endregion
