// The same from CommonJS.
const assert = require("node:assert/strict")
const adapter = require("@outbox-event-bus/dynamodb-aws-sdk-outbox")
const core = require("outbox-event-bus")

assert.deepEqual(Object.keys(adapter).sort(), [
  "DuplicateEventIdError",
  "DynamoDBAwsSdkOutbox",
  "EventAlreadyPublishedError",
  "OUTBOX_DIAGNOSTICS_CHANNEL",
  "TransactionCanceledError",
  "TransactionOutcomeUnknownError",
  "UnstorableEventError",
  "dynamodbAwsSdkTransactionStorage",
  "getDynamoDBAwsSdkCollector",
  "getHandlerContext",
  "withDynamoDBAwsSdkTransaction",
])
assert.equal(typeof core.OutboxEventBus, "function")
assert.equal(typeof require("outbox-event-bus/testing").outboxConformance, "function")
assert.throws(() => new adapter.DynamoDBAwsSdkOutbox({}), core.ConfigurationError)
assert.equal(
  require("@outbox-event-bus/dynamodb-aws-sdk-outbox/package.json").name,
  "@outbox-event-bus/dynamodb-aws-sdk-outbox",
)

assert.equal(
  typeof require("@outbox-event-bus/dynamodb-aws-sdk-outbox/lambda").createStreamHandler,
  "function",
)
assert.equal(
  typeof require("@outbox-event-bus/dynamodb-aws-sdk-outbox/operations").OutboxOperator,
  "function",
)
const { TestOutbox } = require("@outbox-event-bus/dynamodb-aws-sdk-outbox/testing")
async function deliverOne() {
  const outbox = new TestOutbox()
  assert(outbox instanceof adapter.DynamoDBAwsSdkOutbox)
  const bus = new core.OutboxEventBus(outbox, assert.ifError)
  bus.on("placed", async () => assert.equal(adapter.getHandlerContext()?.attempt, 1))
  bus.start()
  await bus.emit({ type: "placed", payload: {} })
  await outbox.idle()
  assert.equal(outbox.delivered.length, 1)
  await bus.stop()
}
deliverOne().then(() => console.log("ok"))
