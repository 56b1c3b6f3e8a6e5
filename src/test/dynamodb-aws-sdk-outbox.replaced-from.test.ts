/** Users' tests replace DynamoDBDocumentClient.from by something that returns a bare `{ send }`. */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, UpdateCommand } from "@aws-sdk/lib-dynamodb"
import { expect, it, vi } from "vitest"
import { DynamoDBAwsSdkOutbox } from "../index.ts"
import { event, item } from "./outbox.fixture.ts"

const send = vi.hoisted(() => vi.fn())

vi.mock("@aws-sdk/lib-dynamodb", async (importOriginal) => ({
  ...(await importOriginal<typeof import("@aws-sdk/lib-dynamodb")>()),
  DynamoDBDocumentClient: { from: vi.fn(() => ({ send })) },
}))

it("it gets the client, and everything is sent by what it returns", async () => {
  const client = {} as DynamoDBClient
  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: "outbox" })
  expect(DynamoDBDocumentClient.from).toHaveBeenCalledOnce()
  expect(vi.mocked(DynamoDBDocumentClient.from).mock.lastCall?.[0]).toBe(client)

  send.mockResolvedValueOnce({ Items: [] }).mockResolvedValueOnce({ Items: [item("e1")] })
  const handler = vi.fn(async () => {})
  outbox.start(handler, () => {})
  await vi.waitFor(() => expect(handler).toHaveBeenCalledExactlyOnceWith(event("e1")))
  await outbox.stop()
  expect(send.mock.calls[2]?.[0]).toBeInstanceOf(UpdateCommand)
})
