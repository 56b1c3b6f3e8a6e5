// The batching publisher checks what SQS refused.
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, QueryCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb"
import { mockClient } from "aws-sdk-client-mock"
import type { BusEvent } from "outbox-event-bus"
import { afterEach, expect, it, vi } from "vitest"
import { forwardToQueue, type Queue } from "./batching-publisher.ts"

const dynamodb = mockClient(DynamoDBDocumentClient)
afterEach(() => {
  dynamodb.reset()
  vi.restoreAllMocks()
})

/** A table with ten due events. */
function mockTable() {
  const items = Array.from({ length: 10 }, (_, i) => ({
    id: `order/${i}`,
    type: "order.placed",
    payload: { orderId: `${i}` },
    occurredAt: "2025-01-01T00:00:00.000Z",
    status: "active",
    gsiSortKey: i,
    retryCount: 0,
  }))
  dynamodb
    .on(QueryCommand)
    .resolvesOnce({}) // events whose lease has expired
    .resolvesOnce({ Items: items.map(({ id, gsiSortKey }) => ({ id, gsiSortKey })) }) // events that are due
  dynamodb.on(UpdateCommand).callsFake(({ Key }) => ({ Attributes: items.find(({ id }) => id === Key?.id) }))
}

it("sends again what SQS refused, and nothing else", async () => {
  const logged = vi.spyOn(console, "error")
  mockTable()
  const sent: BusEvent[][] = []
  const sqs: Queue = {
    sendMessageBatch: async ({ QueueUrl, Entries }) => {
      expect(QueueUrl).toBe("https://queue")
      for (const { Id } of Entries) expect(Id).toMatch(/^[\w-]{1,80}$/)
      sent.push(Entries.map(({ MessageBody }) => JSON.parse(MessageBody)))
      const refused = sent.length === 1 ? Entries.slice(3, 4) : []
      return { Failed: refused.map(({ Id }) => ({ Id, Code: "InternalError", Message: "try later" })) }
    },
  }
  const bus = forwardToQueue(new DynamoDBClient({}), sqs, "https://queue")
  try {
    await vi.waitFor(() => expect(sent).toHaveLength(2), { timeout: 10_000 })
  } finally {
    await bus.stop()
  }
  expect(sent.map((batch) => batch.length)).toEqual([10, 1])
  expect(sent[1]?.[0]).toMatchObject({ id: "order/3", payload: { orderId: "3" } })
  expect(logged).not.toHaveBeenCalled()
})
