// How to test code around the outbox with a mocked client: no database, no network.
// #region mocked-client
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, QueryCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb"
import { DynamoDBAwsSdkOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { mockClient } from "aws-sdk-client-mock"
import { OutboxEventBus } from "outbox-event-bus"
import { expect, it } from "vitest"

it("handles an event", async () => {
  const event = {
    id: "1",
    type: "order.placed",
    payload: { orderId: "42" },
    occurredAt: "2025-01-01T00:00:00.000Z",
  }
  const dynamodb = mockClient(DynamoDBDocumentClient)
  dynamodb
    .on(QueryCommand)
    .resolvesOnce({}) // events whose lease has expired
    .resolvesOnce({ Items: [{ id: "1", gsiSortKey: 0 }] }) // events that are due
  dynamodb.on(UpdateCommand).resolvesOnce({ Attributes: event }) // the claim returns the whole item

  const outbox = new DynamoDBAwsSdkOutbox({ client: new DynamoDBClient({}), tableName: "outbox" })
  const bus = new OutboxEventBus(outbox, (error) => console.error(error))
  const handled = bus.waitFor("order.placed")
  bus.start()
  await expect(handled).resolves.toMatchObject({ payload: { orderId: "42" } })
  await bus.stop()
})
// #endregion
