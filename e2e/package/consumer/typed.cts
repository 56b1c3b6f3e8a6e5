// The same from CommonJS.
import clientModule = require("@aws-sdk/client-dynamodb")
import adapter = require("@outbox-event-bus/dynamodb-aws-sdk-outbox")
import testing = require("@outbox-event-bus/dynamodb-aws-sdk-outbox/testing")
import core = require("outbox-event-bus")

const config: adapter.DynamoDBAwsSdkOutboxConfig = {
  client: new clientModule.DynamoDBClient({}),
  tableName: "outbox",
  getCollector: adapter.getDynamoDBAwsSdkCollector(),
}
const outbox: core.IOutbox<adapter.DynamoDBAwsSdkTransactionCollector> = new adapter.DynamoDBAwsSdkOutbox(
  config,
)
const bus = new core.OutboxEventBus(outbox, (error: core.OutboxError) => console.error(error.context))
const item: adapter.TransactWriteItem = { Put: { TableName: "orders", Item: { id: "1" } } }
void adapter.withDynamoDBAwsSdkTransaction(async (collector) => {
  collector.push(item)
  await bus.emit({ type: "order.placed", payload: {} })
})

const testOutbox = new testing.TestOutbox({ maxRetries: 3 })
void testOutbox.idle().then(() => testOutbox.failed.map(({ error }) => error))
