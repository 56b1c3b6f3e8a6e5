// The shortest program that stores an event and handles it. It needs the table of infrastructure/ and AWS credentials; with
// `npm run dynamodb` in another terminal, it runs on that database.
// #region quick-start
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBAwsSdkOutbox, getDynamoDBAwsSdkCollector } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { type BusEvent, OutboxEventBus } from "outbox-event-bus"

type OrderPlaced = BusEvent<"order.placed", { orderId: string }>

const outbox = new DynamoDBAwsSdkOutbox({
  client: new DynamoDBClient({}),
  tableName: "outbox",
  getCollector: getDynamoDBAwsSdkCollector(),
})
const bus = new OutboxEventBus(outbox, (error) => console.error(error))

bus.on("order.placed", async (event: OrderPlaced) => {
  console.log(`ship order ${event.payload.orderId}`) // throw, and it is tried again later
})

bus.start()
await bus.emit({ type: "order.placed", payload: { orderId: "42" } })

process.once("SIGTERM", () => bus.stop())
// #endregion
