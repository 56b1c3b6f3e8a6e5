/** The names that existing code imports. Their types are proved by `programs/`, their exact shape by the API report. */
import * as adapter from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import * as core from "outbox-event-bus"
import { describe, expect, it } from "vitest"

describe("the core exports", () => {
  it.each([
    "OutboxEventBus",
    "reportEventError",
    "formatErrorMessage",
    "OutboxError",
    "ConfigurationError",
    "DuplicateListenerError",
    "UnsupportedOperationError",
    "ValidationError",
    "BatchSizeLimitError",
    "OperationalError",
    "TimeoutError",
    "BackpressureError",
    "MaintenanceError",
    "MaxRetriesExceededError",
    "HandlerError",
    "InMemoryOutbox",
    "EventPublisher",
    "PollingService",
    "createTimedPromise",
  ])("%s", (name) => {
    expect(core).toHaveProperty(name, expect.any(Function))
  })

  it("EventStatus, with its four values", () => {
    expect(core.EventStatus).toEqual({
      CREATED: "created",
      ACTIVE: "active",
      FAILED: "failed",
      COMPLETED: "completed",
    })
  })
})

describe("the adapter exports", () => {
  it.each(["DynamoDBAwsSdkOutbox", "withDynamoDBAwsSdkTransaction", "getDynamoDBAwsSdkCollector"])(
    "%s",
    (name) => {
      expect(adapter).toHaveProperty(name, expect.any(Function))
    },
  )

  it("dynamodbAwsSdkTransactionStorage, which holds the collector of the running transaction", async () => {
    const find = adapter.getDynamoDBAwsSdkCollector()
    expect(find()).toBeUndefined()
    const result = await adapter.withDynamoDBAwsSdkTransaction(async (collector) => {
      expect(find()).toBe(collector)
      expect(adapter.dynamodbAwsSdkTransactionStorage.getStore()).toBe(collector)
      collector.push({ Delete: { TableName: "orders", Key: { id: "1" } } })
      expect(collector.items).toEqual([{ Delete: { TableName: "orders", Key: { id: "1" } } }])
      return "result"
    })
    expect(result).toBe("result")

    const own = { push: () => {} }
    expect(adapter.dynamodbAwsSdkTransactionStorage.run(own, find)).toBe(own)
  })
})
