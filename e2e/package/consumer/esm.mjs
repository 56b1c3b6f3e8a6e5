// The public names, from ESM; errors of the adapter are instances of the core's classes.
import assert from "node:assert/strict"
import * as adapter from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import * as core from "outbox-event-bus"
import { outboxConformance } from "outbox-event-bus/testing"

assert.deepEqual(Object.keys(adapter).sort(), [
  "DynamoDBAwsSdkOutbox",
  "dynamodbAwsSdkTransactionStorage",
  "getDynamoDBAwsSdkCollector",
  "getHandlerContext",
  "withDynamoDBAwsSdkTransaction",
])
assert.equal(typeof core.OutboxEventBus, "function")
assert.throws(() => new adapter.DynamoDBAwsSdkOutbox({}), core.ConfigurationError)
assert.equal(typeof outboxConformance, "function")
console.log("ok")
