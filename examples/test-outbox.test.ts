// How to test code that emits and handles events, with the outbox that behaves like the real one: no database, no mocks.
// #region test-outbox
import { getDynamoDBAwsSdkCollector } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { TestOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/testing"
import { OutboxEventBus } from "outbox-event-bus"
import { expect, it, vi } from "vitest" // or from "@jest/globals"; with node:test, use node:assert
import { Orders } from "./order-service/orders.ts"

it("ships an order, and retries when the carrier fails", async () => {
  const outbox = new TestOutbox({ getCollector: getDynamoDBAwsSdkCollector(), maxRetries: 3 })
  const bus = new OutboxEventBus(outbox, () => {})
  const ship = vi.fn().mockRejectedValueOnce(new Error("no carrier")).mockResolvedValue(undefined)
  bus.on("order.placed", ship)
  bus.start()

  // Orders sends its transaction through outbox.client. If you mock the client instead, call outbox.commit(items).
  const orders = new Orders(outbox.client, "orders", bus)
  await orders.place({ orderId: "42", customer: "Ada", article: "teapot", postcode: "20146" })
  await outbox.idle()

  expect(outbox.published).toMatchObject([{ type: "order.placed", payload: { orderId: "42" } }])
  expect(ship).toHaveBeenCalledTimes(2)
  expect(outbox.delivered).toEqual(outbox.published)
  expect(outbox.failed).toEqual([])
  await bus.stop()
})
// #endregion
