// The life of events with whatever AWS SDK is installed: `life-cycle.mjs <endpoint> <table>`.
import assert from "node:assert/strict"
import { setTimeout as delay } from "node:timers/promises"
import { CreateTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, GetCommand, TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import {
  DynamoDBAwsSdkOutbox,
  getDynamoDBAwsSdkCollector,
  withDynamoDBAwsSdkTransaction,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { MaxRetriesExceededError, OutboxEventBus, ValidationError } from "outbox-event-bus"

const [endpoint, TableName] = process.argv.slice(2)
const credentials = { accessKeyId: "local", secretAccessKey: "local" }
const client = new DynamoDBClient({ endpoint, region: "us-east-1", credentials })
const documents = DynamoDBDocumentClient.from(client)

await client.send(
  new CreateTableCommand({
    TableName,
    BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [
      { AttributeName: "id", AttributeType: "S" },
      { AttributeName: "status", AttributeType: "S" },
      { AttributeName: "gsiSortKey", AttributeType: "N" },
    ],
    KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
    GlobalSecondaryIndexes: [
      {
        IndexName: "status-gsiSortKey-index",
        KeySchema: [
          { AttributeName: "status", KeyType: "HASH" },
          { AttributeName: "gsiSortKey", KeyType: "RANGE" },
        ],
        Projection: { ProjectionType: "KEYS_ONLY" },
      },
    ],
  }),
)

const outbox = new DynamoDBAwsSdkOutbox({
  client,
  tableName: TableName,
  pollIntervalMs: 10,
  baseBackoffMs: 1,
  maxRetries: 2,
  getCollector: getDynamoDBAwsSdkCollector(),
})
const errors = []
const bus = new OutboxEventBus(outbox, (error) => errors.push(error))
const payload = {
  big: 2n ** 60n,
  n: 1.5,
  bytes: new Uint8Array([1]),
  tags: new Set(["a"]),
  nested: { list: [1, "x"] },
}
const delivered = []
let isMended = false
bus.on("placed", async (event) => delivered.push(event.payload))
bus.on("doomed", async () => {
  if (!isMended) throw new Error("no")
  delivered.push("mended")
})

async function until(look) {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await delay(10)) if (await look()) return
  throw new Error(`waited in vain until ${look}; errors: ${errors.map((error) => error.cause ?? error)}`)
}

// Published by itself, and with business data in one transaction.
await bus.emit({ id: "alone", type: "placed", payload })
await withDynamoDBAwsSdkTransaction(async (collector) => {
  collector.push({ Put: { TableName, Item: { id: "order", total: 42 } } })
  await bus.emit({ id: "together", type: "placed", payload })
  await documents.send(new TransactWriteCommand({ TransactItems: collector.items }))
})
await assert.rejects(bus.emit({ id: "alone", type: "placed", payload: {} }), (error) => {
  assert(error instanceof ValidationError)
  assert.match(error.message, /already: alone\./)
  return true
})
bus.start()
await until(() => delivered.length === 2)
assert.deepEqual(delivered, [payload, payload])
// The user's document client reads numbers as before.
assert.equal((await documents.send(new GetCommand({ TableName, Key: { id: "order" } }))).Item.total, 42)

// Retried, dead, listed, mended, set back.
await bus.emit({ id: "doomed", type: "doomed", payload })
await until(() => errors.length === 2)
assert(errors[1] instanceof MaxRetriesExceededError)
const [dead, ...others] = await bus.getFailedEvents()
assert.deepEqual(others, [])
assert.deepEqual(dead.payload, payload)
assert.equal(dead.retryCount, 2)
isMended = true
await bus.retryEvents(["doomed", "unknown"])
await until(() => delivered.length === 3)
await bus.stop()
assert.deepEqual(await bus.getFailedEvents(), [])
client.destroy()
console.log("ok")
