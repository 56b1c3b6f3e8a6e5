// The outbox in AWS Lambda: one function that stores events, and one that delivers them, run by a schedule.
// #region lambda
import { setTimeout as delay } from "node:timers/promises"
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBAwsSdkOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import type { APIGatewayProxyHandlerV2, ScheduledHandler } from "aws-lambda"
import { type BusEvent, OutboxEventBus } from "outbox-event-bus"

type OrderPlaced = BusEvent<"order.placed", { orderId: string }>

const outbox = new DynamoDBAwsSdkOutbox({ client: new DynamoDBClient({}), tableName: "outbox" })
const bus = new OutboxEventBus(outbox, (error) => console.error(error))
bus.on("order.placed", async (event: OrderPlaced) => {
  console.log(`ship order ${event.payload.orderId}`)
})

/** Stores an event. It never starts the relay: a function is frozen between two requests. */
export const placeOrder: APIGatewayProxyHandlerV2 = async ({ body }) => {
  const { orderId } = JSON.parse(body ?? "{}")
  await bus.emit({ type: "order.placed", payload: { orderId } })
  return { statusCode: 202 }
}

/** Delivers for as long as an invocation may take: give it a timeout of 60 s, and a schedule of once a minute. */
export const deliver: ScheduledHandler = async (_event, context) => {
  bus.start()
  // The time left must be enough for the handlers that run by then.
  await delay(Math.max(0, context.getRemainingTimeInMillis() - 15_000))
  await bus.stop()
}
// #endregion
