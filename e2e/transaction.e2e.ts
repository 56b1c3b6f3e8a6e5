/** Events in the caller's own transaction: committed with the business data, or not at all. */
import { DynamoDBDocumentClient, TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import { BatchSizeLimitError, OutboxEventBus } from "outbox-event-bus"
import { expect, test } from "vitest"
import {
  type DynamoDBAwsSdkTransactionCollector,
  getDynamoDBAwsSdkCollector,
  type TransactWriteItem,
  withDynamoDBAwsSdkTransaction,
} from "../src/index.ts"
import { someEvent, someEvents } from "./fixture/events.ts"
import { createTable, newClient, type TestTable } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { recordRequests } from "./fixture/wire.ts"
import { outboxOn } from "./fixture/worker.ts"

/** Business data: any other item will do, in a partition of the same table. */
const order = (table: TestTable, orderId = "order-1"): TransactWriteItem => ({
  Put: {
    TableName: table.tableName,
    Item: { id: orderId, total: 42 },
    ConditionExpression: "attribute_not_exists(id)",
  },
})

async function placeOrder(table: TestTable, bus: OutboxEventBus<DynamoDBAwsSdkTransactionCollector>) {
  await withDynamoDBAwsSdkTransaction(async (collector) => {
    collector.push(order(table))
    await bus.emit({ id: "placed", type: "order.placed", payload: { orderId: "order-1" } })
    await table.documents.send(new TransactWriteCommand({ TransactItems: collector.items }))
  })
}

function busOn(table: TestTable) {
  const outbox = outboxOn(table, { getCollector: getDynamoDBAwsSdkCollector(), pollIntervalMs: 3_600_000 })
  const errors: unknown[] = []
  return { bus: new OutboxEventBus(outbox, (error) => void errors.push(error)), errors }
}

test("committed: the order is there and its event is delivered, without waiting for the next poll", async () => {
  const table = await createTable()
  const { bus, errors } = busOn(table)
  const delivered: unknown[] = []
  bus.on("order.placed", async ({ payload }) => void delivered.push(payload))
  bus.start()
  try {
    await placeOrder(table, bus)
    await until("it is delivered", () => delivered.length > 0)
    expect(await table.read("order-1")).toMatchObject({ total: 42 })
  } finally {
    await bus.stop()
  }
  expect(delivered).toEqual([{ orderId: "order-1" }])
  expect(errors).toEqual([])
})

test("rolled back by the business condition: neither the order is changed nor the event there", async () => {
  const table = await createTable()
  await table.put({ id: "order-1", total: 7 })
  await expect(placeOrder(table, busOn(table).bus)).rejects.toThrow("Transaction cancelled")
  expect(await table.all()).toEqual([{ id: "order-1", total: 7 }])
})

test("abandoned by an exception of the business code: nothing was sent", async () => {
  const table = await createTable()
  const { bus } = busOn(table)
  const abandoned = withDynamoDBAwsSdkTransaction(async (collector) => {
    collector.push(order(table))
    await bus.emit({ type: "order.placed", payload: {} })
    throw new Error("out of stock")
  })
  await expect(abandoned).rejects.toThrow("out of stock")
  expect(await table.all()).toEqual([])
})

test("an event id that is taken rolls the business data back", async () => {
  const table = await createTable()
  await outboxOn(table).publish([someEvent({ id: "placed", payload: "first" })])
  await expect(placeOrder(table, busOn(table).bus)).rejects.toMatchObject({
    name: "TransactionCanceledException",
  })
  expect(await table.all()).toMatchObject([{ id: "placed", payload: "first" }])
})

test("a bare array is a collector too, and its items count towards the limit", async () => {
  const table = await createTable()
  const client = newClient()
  const requests = recordRequests(client)
  const outbox = outboxOn(table, { client })
  const items: TransactWriteItem[] = [order(table)]
  await outbox.publish(someEvents(99), items as unknown as DynamoDBAwsSdkTransactionCollector)
  expect(items).toHaveLength(100)

  const oneMore = outbox.publish([someEvent()], items as unknown as DynamoDBAwsSdkTransactionCollector)
  await expect(oneMore).rejects.toThrow(BatchSizeLimitError)
  await expect(oneMore).rejects.toThrow("collector already holds 100 of the 100 items")
  expect(items).toHaveLength(100)
  expect(requests).toEqual([])

  await table.documents.send(new TransactWriteCommand({ TransactItems: items }))
  expect(await table.all()).toHaveLength(100)
})

test("the collector that is passed wins over the one of the context; one with push alone will do", async () => {
  const table = await createTable()
  const outbox = outboxOn(table, { getCollector: getDynamoDBAwsSdkCollector() })
  const pushed: TransactWriteItem[] = []
  await withDynamoDBAwsSdkTransaction(async ({ items }) => {
    await outbox.publish([someEvent({ id: "explicit" })], { push: (item) => void pushed.push(item) })
    expect(items).toEqual([])
  })
  expect(pushed).toMatchObject([{ Put: { TableName: table.tableName, Item: { id: "explicit" } } }])
})

test("a collector may be sent by any document client, whatever its options", async () => {
  const table = await createTable()
  const pushed: TransactWriteItem[] = []
  const event = someEvent({
    id: "strict",
    payload: { at: new Date(0), none: undefined, list: [undefined, 1] },
  })
  await outboxOn(table).publish([event], { push: (item) => void pushed.push(item) })
  const strict = DynamoDBDocumentClient.from(newClient(), {
    marshallOptions: { removeUndefinedValues: false },
  })
  await strict.send(new TransactWriteCommand({ TransactItems: pushed }))
  expect(await table.read("strict")).toMatchObject({ payload: { at: "1970-01-01T00:00:00.000Z", list: [1] } })
})
