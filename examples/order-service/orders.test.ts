// How to test code that emits in a transaction, with a mocked client.
import { DynamoDBClient, TransactionCanceledException } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import { DynamoDBAwsSdkOutbox, getDynamoDBAwsSdkCollector } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { mockClient } from "aws-sdk-client-mock"
import { OutboxEventBus } from "outbox-event-bus"
import { beforeEach, expect, it } from "vitest"
import { OrderNumberTakenError, Orders } from "./orders.ts"

const dynamodb = mockClient(DynamoDBDocumentClient)
const order = { orderId: "42", customer: "Ada", article: "teapot", postcode: "20146" }

let orders: Orders

beforeEach(() => {
  dynamodb.reset()
  const client = new DynamoDBClient({ region: "us-east-1" })
  const outbox = new DynamoDBAwsSdkOutbox({
    client,
    tableName: "outbox",
    getCollector: getDynamoDBAwsSdkCollector(),
  })
  const bus = new OutboxEventBus(outbox, (error) => console.error(error))
  orders = new Orders(DynamoDBDocumentClient.from(client), "orders", bus)
})

it("stores an order and its event in one transaction", async () => {
  await orders.place(order)
  const [call, ...others] = dynamodb.commandCalls(TransactWriteCommand)
  expect(others).toEqual([])
  expect(call?.args[0].input.TransactItems).toMatchObject([
    { Put: { TableName: "orders", Item: order } },
    { Put: { TableName: "outbox", Item: { type: "order.placed", payload: { orderId: "42" } } } },
  ])
})

it("reports that the number is taken", async () => {
  dynamodb.on(TransactWriteCommand).rejects(
    new TransactionCanceledException({
      message: "Transaction cancelled",
      CancellationReasons: [{ Code: "ConditionalCheckFailed" }, { Code: "None" }],
      $metadata: {},
    }),
  )
  await expect(orders.place(order)).rejects.toThrow(OrderNumberTakenError)
})

it("passes on any other error", async () => {
  dynamodb.on(TransactWriteCommand).rejects(new Error("no network"))
  await expect(orders.place(order)).rejects.toThrow("no network")
})
