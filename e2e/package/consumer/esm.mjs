// The public names, from ESM; errors of the adapter are instances of the core's classes.
import assert from "node:assert/strict"
import * as adapter from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { createStreamHandler, STREAM_FILTERS } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/lambda"
import { instrumentOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/opentelemetry"
import * as operations from "@outbox-event-bus/dynamodb-aws-sdk-outbox/operations"
import { TestOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/testing"
import * as core from "outbox-event-bus"
import { outboxConformance } from "outbox-event-bus/testing"

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
assert.deepEqual(Object.keys(operations).sort(), [
  "OutboxOperator",
  "createOutboxTable",
  "outboxTableDefinition",
])
instrumentOutbox(new TestOutbox())()
assert.equal(typeof core.OutboxEventBus, "function")
assert.throws(() => new adapter.DynamoDBAwsSdkOutbox({}), core.ConfigurationError)
assert.equal(typeof outboxConformance, "function")

// The test outbox is the same class, and its handlers have the context of this copy.
const outbox = new TestOutbox()
assert(outbox instanceof adapter.DynamoDBAwsSdkOutbox)
const bus = new core.OutboxEventBus(outbox, assert.ifError)
bus.on("placed", async () => assert.equal(adapter.getHandlerContext()?.attempt, 1))
bus.start()
await bus.emit({ type: "placed", payload: 2n ** 60n })
await outbox.idle()
assert.deepEqual(
  outbox.delivered.map(({ payload }) => payload),
  [2n ** 60n],
)
await bus.stop()

// The stream's handler works with this outbox, though it is an entry point of its own.
const invoked = new TestOutbox({ polling: false })
await invoked.publish([{ id: "e1", type: "placed", payload: 1, occurredAt: new Date() }])
invoked.start(async () => {}, assert.ifError)
const context = { getRemainingTimeInMillis: () => 10_000 }
const Records = [{ eventName: "INSERT", dynamodb: { Keys: { id: { S: "e1" } }, SequenceNumber: "1" } }]
assert.deepEqual(await createStreamHandler(invoked)({ Records }, context), { batchItemFailures: [] })
assert.equal(invoked.delivered.length, 1)
assert.deepEqual(STREAM_FILTERS.keysOnly, { eventName: ["INSERT"] })
console.log("ok")
