// The same from CommonJS.
const assert = require("node:assert/strict")
const adapter = require("@outbox-event-bus/dynamodb-aws-sdk-outbox")
const core = require("outbox-event-bus")

assert.deepEqual(Object.keys(adapter).sort(), [
  "DynamoDBAwsSdkOutbox",
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
console.log("ok")
