import type { DynamoDBRecord } from "aws-lambda"
import { ValidationError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import type { DynamoDBAwsSdkOutbox } from "../dynamodb-aws-sdk-outbox.ts"
import { createStreamHandler, STREAM_FILTERS } from "./stream-handler.ts"

const context = { getRemainingTimeInMillis: () => 5000 }

function recordOf(id: string, SequenceNumber: string, more: object = {}): DynamoDBRecord {
  return { eventName: "INSERT", dynamodb: { Keys: { id: { S: id } }, SequenceNumber, ...more } }
}

function handlerWith(unclaimed: string[] = []) {
  const deliver = vi.fn<DynamoDBAwsSdkOutbox["deliver"]>(async () => ({
    delivered: 0,
    retried: 0,
    deadLettered: 0,
    released: 0,
    reason: "empty",
    unclaimed,
  }))
  return { deliver, handle: createStreamHandler({ deliver }) }
}

describe("the handler", () => {
  it("delivers the new events of a batch, until the invocation's deadline", async () => {
    const { deliver, handle } = handlerWith()
    const Records = [recordOf("a", "1"), recordOf("b", "2")]
    expect(await handle({ Records }, context)).toEqual({ batchItemFailures: [] })
    expect(deliver).toHaveBeenCalledExactlyOnceWith(["a", "b"], { deadline: expect.any(Function) })
    const bounds = deliver.mock.calls[0]?.[1] as { deadline: () => number }
    expect(bounds.deadline()).toBe(5000)
  })

  const image = (status: string, gsiSortKey = 1) => ({
    NewImage: { status: { S: status }, gsiSortKey: { N: `${gsiSortKey}` } },
  })
  it.each<[string, boolean, DynamoDBRecord]>([
    ["without an image", true, recordOf("a", "1")],
    ["that waits", true, recordOf("a", "1", image("created"))],
    ["in another index partition", true, recordOf("a", "1", image("created#7"))],
    ["whose image has no due time", true, recordOf("a", "1", { NewImage: { status: { S: "created" } } })],
    ["that is not due", false, recordOf("a", "1", image("created", Date.now() + 60_000))],
    ["with another status", false, recordOf("a", "1", image("completed"))],
    ["without a status", false, recordOf("a", "1", { NewImage: { id: { S: "a" } } })],
    ["that was changed", false, { ...recordOf("a", "1", image("created")), eventName: "MODIFY" }],
    ["that was deleted", false, { ...recordOf("a", "1"), eventName: "REMOVE" }],
  ])("takes an event %s: %s", async (_, isTaken, record) => {
    const { deliver, handle } = handlerWith()
    await handle({ Records: [record] }, context)
    expect(deliver).toHaveBeenCalledTimes(isTaken ? 1 : 0)
  })

  it("reports the first failure by sequence number, however long the numbers are", async () => {
    const { handle } = handlerWith(["b", "c", "d"])
    const Records = [
      recordOf("a", "7"),
      recordOf("b", "40000000000000000000000000000000000000000"),
      recordOf("c", "9000000000000000000000000000000000000000"),
      recordOf("d", "0009000000000000000000000000000000000000001"),
    ]
    expect(await handle({ Records }, context)).toEqual({
      batchItemFailures: [{ itemIdentifier: "9000000000000000000000000000000000000000" }],
    })
  })

  it.each<[string, unknown]>([
    ["of a queue", { Records: [{ ...recordOf("a", "1"), eventSource: "aws:sqs" }] }],
    ["of nothing", {}],
    ["of a schedule", { source: "aws.events", detail: {} }],
    ["undefined", undefined],
  ])("refuses an event %s", async (_, event) => {
    const { deliver, handle } = handlerWith()
    await expect(handle(event as never, context)).rejects.toThrow(
      "The handler of a DynamoDB stream was invoked with",
    )
    expect(deliver).not.toHaveBeenCalled()
  })

  it("rejects with what makes delivery impossible, and for records of another table", async () => {
    const { deliver, handle } = handlerWith()
    deliver.mockRejectedValue(new Error("no handlers"))
    await expect(handle({ Records: [recordOf("a", "1")] }, context)).rejects.toThrow("no handlers")
    const foreign = {
      eventName: "INSERT",
      eventSourceARN: "arn:orders",
      dynamodb: { Keys: { id: { N: "1" } } },
    } as const
    await expect(handle({ Records: [foreign] }, context)).rejects.toThrow(ValidationError)
    await expect(handle({ Records: [{ eventName: "INSERT" }] }, context)).rejects.toThrow(ValidationError)
  })
})

describe("the filter patterns", () => {
  it("let new events pass, by their image where there is one", () => {
    expect(JSON.stringify(STREAM_FILTERS.images)).toBe(
      '{"eventName":["INSERT"],"dynamodb":{"NewImage":{"status":{"S":[{"prefix":"created"}]}}}}',
    )
    expect(JSON.stringify(STREAM_FILTERS.keysOnly)).toBe('{"eventName":["INSERT"]}')
  })
})
