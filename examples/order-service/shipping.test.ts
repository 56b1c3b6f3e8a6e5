// How to test an idempotent handler: call it twice.
import { ConditionalCheckFailedException, DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, GetCommand, PutCommand } from "@aws-sdk/lib-dynamodb"
import { mockClient } from "aws-sdk-client-mock"
import { beforeEach, expect, it, vi } from "vitest"
import type { OrderPlaced } from "./orders.ts"
import { shipOrders } from "./shipping.ts"

const dynamodb = mockClient(DynamoDBDocumentClient)
const event: OrderPlaced = {
  id: "event-1",
  type: "order.placed",
  payload: { orderId: "42" },
  occurredAt: new Date(0),
}
const book = vi.fn<(parcel: { orderId: string; postcode: string }, key: string) => Promise<string>>()
const onShipped = vi.fn<(event: OrderPlaced, parcel: string | undefined) => void>()
const ship = shipOrders({
  documents: DynamoDBDocumentClient.from(new DynamoDBClient({ region: "us-east-1" })),
  carrier: { book },
  ordersTable: "orders",
  shipmentsTable: "shipments",
  onShipped,
})

beforeEach(() => {
  dynamodb.reset()
  dynamodb.on(GetCommand).resolves({ Item: { orderId: "42", postcode: "20146" } })
  book.mockReset().mockResolvedValue("P-1")
  onShipped.mockReset()
})

it("books a parcel under the event's id and records the shipment", async () => {
  await ship(event)
  expect(book).toHaveBeenCalledWith({ orderId: "42", postcode: "20146" }, "event-1")
  expect(dynamodb.commandCalls(PutCommand)[0]?.args[0].input.Item).toEqual({
    eventId: "event-1",
    orderId: "42",
    parcel: "P-1",
  })
  expect(onShipped).toHaveBeenCalledWith(event, "P-1")
})

it("treats a second delivery as handled", async () => {
  dynamodb
    .on(PutCommand)
    .rejects(
      new ConditionalCheckFailedException({ message: "The conditional request failed", $metadata: {} }),
    )
  await ship(event)
  expect(onShipped).toHaveBeenCalledWith(event, undefined)
})

it("fails when the carrier fails, so that the event is retried", async () => {
  book.mockRejectedValue(new Error("carrier returned 503"))
  await expect(ship(event)).rejects.toThrow("carrier returned 503")
  expect(dynamodb.commandCalls(PutCommand)).toEqual([])
})
