// What the functions share: the client, the outbox, the bus and its handlers. Made once, so that warm invocations reuse them.
// #region outbox
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, UpdateCommand } from "@aws-sdk/lib-dynamodb"
import { DynamoDBAwsSdkOutbox, getDynamoDBAwsSdkCollector } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { type BusEvent, OutboxEventBus } from "outbox-event-bus"

type OrderPlaced = BusEvent<"order.placed", { orderId: string }>

export const client = new DynamoDBClient({})
const documents = DynamoDBDocumentClient.from(client)
export const ordersTable = process.env.ORDERS_TABLE as string

export const outbox = new DynamoDBAwsSdkOutbox({
  client,
  tableName: process.env.OUTBOX_TABLE as string,
  // A function is frozen between two invocations, so it delivers when it is invoked, and not in a loop.
  polling: false,
  concurrency: 10,
  // By the table's TTL.
  completedEvents: { expireAfterDays: 30 },
  getCollector: getDynamoDBAwsSdkCollector(),
})

// The metric filter in template.yaml looks for the names of these errors.
export const bus = new OutboxEventBus(outbox, (error) => console.error(`outbox ${error.name}`, error))

// An event may be delivered more than once: only the first time changes the order.
bus.on("order.placed", async ({ payload: { orderId } }: OrderPlaced) => {
  await documents.send(
    new UpdateCommand({
      TableName: ordersTable,
      Key: { orderId },
      UpdateExpression: "SET confirmedAt = if_not_exists(confirmedAt, :now)",
      ConditionExpression: "attribute_exists(orderId)",
      ExpressionAttributeValues: { ":now": new Date().toISOString() },
    }),
  )
})
// #endregion
