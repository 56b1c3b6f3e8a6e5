/** The adapter on a client that is nothing but `{ send }`, as users' unit tests have it. */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { UpdateCommand } from "@aws-sdk/lib-dynamodb"
import {
  DynamoDBAwsSdkOutbox,
  type DynamoDBAwsSdkOutboxConfig,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { vi } from "vitest"

export const NOW = Date.parse("2024-01-01T00:01:00.000Z")

/** What a test reads of any command's input. */
export interface SentInput {
  TableName?: string
  IndexName?: string
  Key?: { id: string }
  UpdateExpression?: string
  ConditionExpression?: string
  ExpressionAttributeValues?: Record<string, unknown>
  TransactItems?: { Put?: { TableName: string; Item: Record<string, unknown> } }[]
}

/** An item as the original writes it. */
export const storedItem = (id: string, more: Record<string, unknown> = {}) => ({
  id,
  type: "order.placed",
  payload: { orderId: "42" },
  occurredAt: "2024-01-01T00:00:00.000Z",
  status: "created",
  retryCount: 0,
  gsiSortKey: Date.parse("2024-01-01T00:00:00.000Z"),
  ...more,
})

export function createMockedOutbox(options: Partial<DynamoDBAwsSdkOutboxConfig> = {}) {
  const send = vi.fn()
  const client = { send } as unknown as DynamoDBClient
  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: "outbox", ...options })
  const sent = () => send.mock.calls.map(([command]) => command as { input: SentInput })
  return {
    outbox,
    send,
    sent,
    updates: () =>
      sent().flatMap((command) => (command instanceof UpdateCommand ? [command.input as SentInput] : [])),
    /** The next poll finds these items due, and whatever is sent afterwards has an empty response. */
    answerFirstPoll: (...items: object[]) =>
      send.mockResolvedValueOnce({ Items: [] }).mockResolvedValueOnce({ Items: items }),
  }
}
