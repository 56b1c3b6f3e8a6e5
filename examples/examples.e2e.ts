/** The examples do what they claim, on the tables that they name. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { CreateTableCommand, waitUntilTableExists } from "@aws-sdk/client-dynamodb"
import { DynamoDBAwsSdkOutbox, getDynamoDBAwsSdkCollector } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { OutboxEventBus } from "outbox-event-bus"
import { beforeAll, expect, inject, onTestFinished, test, vi } from "vitest"
import { createTable, endpoint, type Item, newClient, TestTable } from "../e2e/fixture/table.ts"
import { until } from "../e2e/fixture/until.ts"
import {
  clientFor,
  createOutboxTable,
  LOCAL_CREDENTIALS,
  LOCAL_REGION,
} from "../packages/dynamodb-dev/src/index.ts"
import {
  emittingFromAHandler,
  sendingYourself,
  whenItIsRefused,
  withABareArray,
  withAnExplicitCollector,
  withTheHelper,
  withYourOwnStorage,
} from "./transactions.ts"

beforeAll(async () => {
  if (inject("endpoint") === null) return
  const client = clientFor(endpoint())
  await createOutboxTable(client, { tableName: "outbox", projection: "KEYS_ONLY" })
  await client.send(
    new CreateTableCommand({
      TableName: "orders",
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: [{ AttributeName: "orderId", AttributeType: "S" }],
      KeySchema: [{ AttributeName: "orderId", KeyType: "HASH" }],
    }),
  )
  await waitUntilTableExists(
    { client, maxWaitTime: 10, minDelay: 0.05, maxDelay: 0.2 },
    { TableName: "orders" },
  )
  client.destroy()
})

function shop() {
  const client = newClient()
  const outbox = new DynamoDBAwsSdkOutbox({
    client,
    tableName: "outbox",
    getCollector: getDynamoDBAwsSdkCollector(),
  })
  const bus = new OutboxEventBus(outbox, (error) => console.error(error))
  return { client, bus, documents: new TestTable("orders").documents }
}

const ordersStored = async (orderId: string) =>
  (await new TestTable("orders").all()).filter((order) => order.orderId === orderId)
const eventsStored = async (orderId: string) =>
  (await new TestTable("outbox").all()).filter((event: Item) => event.payload.orderId === orderId)

test("the quick start stores an order and its event, handles the event, and exits on SIGTERM", async () => {
  const program = fileURLToPath(new URL("./quick-start.ts", import.meta.url))
  const child = spawn(process.execPath, ["--import", "tsx", program], {
    env: {
      ...process.env,
      AWS_ENDPOINT_URL_DYNAMODB: endpoint(),
      AWS_REGION: LOCAL_REGION,
      AWS_ACCESS_KEY_ID: LOCAL_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: LOCAL_CREDENTIALS.secretAccessKey,
    },
    stdio: ["ignore", "pipe", "inherit"],
  })
  onTestFinished(() => void child.kill("SIGKILL"))
  const exit = once(child, "exit")
  let output = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text
  })
  await until("the event is handled", () => output.includes("ship order 42"))
  const [event] = await until("the event is completed", async () => {
    const events = await eventsStored("42")
    return events[0]?.status === "completed" && events
  })
  expect(event).toMatchObject({ type: "order.placed" })
  expect(await ordersStored("42")).toHaveLength(1)
  child.kill("SIGTERM")
  expect(await exit).toEqual([0, null])
})

test.for([
  ["the helper", withTheHelper],
  ["the helper, sent by the function", sendingYourself],
  ["a bare array", withABareArray],
  ["an explicit collector", withAnExplicitCollector],
] as const)("with %s, the order and its event are stored", async ([orderId, place]) => {
  const { documents, bus } = shop()
  await place(documents, bus, { orderId, total: 1 })
  expect(await ordersStored(orderId)).toHaveLength(1)
  expect(await eventsStored(orderId)).toMatchObject([{ type: "order.placed", status: "created" }])
})

test("with a storage of your own, both are stored, or neither", async () => {
  const { client, documents } = shop()
  const { bus, inTransaction, transactions } = withYourOwnStorage(client, documents)
  const place = (orderId: string) =>
    inTransaction(async () => {
      transactions.getStore()?.push({
        Put: {
          TableName: "orders",
          Item: { orderId },
          ConditionExpression: "attribute_not_exists(orderId)",
        },
      })
      await bus.emit({ type: "order.placed", payload: { orderId } })
    })
  await place("own storage")
  await expect(place("own storage")).rejects.toThrow("ConditionalCheckFailed")
  expect(await ordersStored("own storage")).toHaveLength(1)
  expect(await eventsStored("own storage")).toHaveLength(1)
})

test("a refused transaction says which order, and leaves no event", async () => {
  const { documents, bus } = shop()
  const order = { orderId: "refused", total: 1 }
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {})
  onTestFinished(() => warn.mockRestore())
  expect(await whenItIsRefused(documents, bus, order)).toBe("placed")
  expect(await whenItIsRefused(documents, bus, order)).toBe("exists already")
  expect(warn).toHaveBeenCalledExactlyOnceWith(
    expect.stringContaining(`write 0 (Put in "orders", orderId = 'refused'): its condition failed`),
  )
  expect(await eventsStored("refused")).toHaveLength(1)
})

test("a handler that emits takes a repetition for success", async () => {
  const table = await createTable()
  const client = newClient()
  const getCollector = getDynamoDBAwsSdkCollector()
  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: table.tableName, getCollector })
  const bus = new OutboxEventBus(outbox, (error) => console.error(error))
  emittingFromAHandler(client, bus)
  bus.on("shipment.requested", async () => {})
  bus.start()
  onTestFinished(() => bus.stop())
  await bus.emit({ id: "e1", type: "order.placed", payload: { orderId: "42" } })
  const isCompleted = async () => (await table.read("e1"))?.status === "completed"
  await until("it is delivered", isCompleted)
  // Its worker has died before it could say so.
  await table.set("e1", { status: "created", gsiSortKey: 1, completedOn: undefined })
  await until("it is delivered again", isCompleted)
  expect(await table.read("e1")).toMatchObject({ retryCount: 0 })
  expect((await table.all()).map(({ id }) => id).toSorted()).toEqual(["e1", "shipment-requested-e1"])
})
