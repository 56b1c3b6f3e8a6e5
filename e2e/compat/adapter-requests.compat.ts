/** The requests that users' tests with a mocked client assert: those of a poll, and those of operators. */
import {
  DynamoDBDocumentClient,
  GetCommand,
  QueryCommand,
  TransactWriteCommand,
  UpdateCommand,
} from "@aws-sdk/lib-dynamodb"
import { DynamoDBAwsSdkOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import type { BusEvent, OutboxError } from "outbox-event-bus"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { createMockedOutbox, NOW, storedItem } from "./mocked-client.ts"
import { anEvent } from "./recording-outbox.ts"

beforeEach(() => {
  vi.useFakeTimers({ now: NOW })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms)

function createRelay(options: Parameters<typeof createMockedOutbox>[0] = {}) {
  const mocked = createMockedOutbox(options)
  const errors: OutboxError[] = []
  const handler = vi.fn(async (_event: BusEvent): Promise<void> => {})
  return {
    ...mocked,
    errors,
    handler,
    start: () => mocked.outbox.start(handler, (error) => errors.push(error)),
  }
}

describe("the first poll of a fresh worker", () => {
  it("sends the recovery query, the query for due events, the claim", async () => {
    const { answerFirstPoll, start, sent, handler, outbox } = createRelay()
    answerFirstPoll(storedItem("e1"))
    start()
    await pass(100)
    await outbox.stop()
    const [recovery, due, claim] = sent()
    for (const [query, status] of [
      [recovery, "active"],
      [due, "created"],
    ] as const) {
      expect(query).toBeInstanceOf(QueryCommand)
      expect(query?.input).toMatchObject({
        TableName: "outbox",
        IndexName: "status-gsiSortKey-index",
        ExpressionAttributeValues: expect.objectContaining({ ":status": status }),
      })
    }
    expect(claim).toBeInstanceOf(UpdateCommand)
    expect(claim?.input).toMatchObject({
      TableName: "outbox",
      Key: { id: "e1" },
      ConditionExpression: expect.any(String),
    })
    // The claim had an empty response, as from a mock that has run out.
    expect(handler).toHaveBeenCalledExactlyOnceWith(anEvent({ id: "e1" }))
  })

  it("is all that start sends", async () => {
    const { start, sent, outbox } = createRelay()
    start()
    await pass()
    expect(sent().map((command) => command.constructor)).toEqual([QueryCommand, QueryCommand])
    await outbox.stop()
  })

  it("uses statusIndexName", async () => {
    const { start, sent, outbox } = createRelay({ statusIndexName: "my-index" })
    start()
    await pass()
    await outbox.stop()
    expect(sent().map(({ input }) => input.IndexName)).toEqual(["my-index", "my-index"])
  })
})

it("reads what a mock that has run out answers as an empty response, of everything", async () => {
  const { outbox, start, errors, send } = createRelay()
  start()
  await pass(5000)
  await outbox.publish([anEvent()])
  expect(await outbox.getFailedEvents()).toEqual([])
  await outbox.retryEvents(["event-1"])
  await outbox.stop()
  expect(send.mock.calls.length).toBeGreaterThan(5)
  expect(errors).toEqual([])
})

it("sends commands of lib-dynamodb; publish, getFailedEvents and retryEvents with one argument", async () => {
  const { outbox, answerFirstPoll, start, send } = createRelay()
  answerFirstPoll(storedItem("e1"))
  start()
  await pass(3000)
  await outbox.stop()
  const relayed = send.mock.calls.length
  await outbox.publish([anEvent()])
  await outbox.getFailedEvents()
  await outbox.retryEvents(["event-1", "event-2"])
  for (const [command] of send.mock.calls) {
    expect([QueryCommand, UpdateCommand, TransactWriteCommand, GetCommand]).toContain(command.constructor)
  }
  const own = send.mock.calls.slice(relayed)
  expect(own.length).toBeGreaterThan(2)
  for (const call of own) expect(call).toHaveLength(1)
  for (const [, options] of send.mock.calls.filter((call) => call.length > 1)) {
    expect(Object.keys(options)).toEqual(["abortSignal"])
  }
})

it("sends through the field docClient, made by DynamoDBDocumentClient.from", async () => {
  const send = vi.fn()
  const client = { config: {} } as never
  const from = vi.spyOn(DynamoDBDocumentClient, "from").mockReturnValue({ send } as never)
  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: "outbox" })
  expect(from).toHaveBeenCalledOnce()
  expect(from.mock.lastCall?.[0]).toBe(client)
  await outbox.publish([anEvent()])
  expect(send).toHaveBeenCalledOnce()

  const replacement = vi.fn()
  Object.assign(outbox, { docClient: { send: replacement } })
  await outbox.publish([anEvent()])
  expect(replacement).toHaveBeenCalledOnce()
})

describe("failed events", () => {
  it("are listed with error, count and last attempt", async () => {
    const { send, outbox } = createRelay()
    const item = storedItem("e1", { status: "failed", retryCount: 5, lastError: "boom", startedOn: NOW })
    send.mockResolvedValueOnce({ Items: [item] })
    expect(await outbox.getFailedEvents()).toEqual([
      { ...anEvent({ id: "e1" }), retryCount: 5, error: "boom", lastAttemptAt: expect.any(Date) },
    ])
    const [query] = send.mock.calls[0] ?? []
    expect(query.input).toMatchObject({
      IndexName: "status-gsiSortKey-index",
      ScanIndexForward: false,
      ExpressionAttributeValues: expect.objectContaining({ ":status": "failed" }),
    })
  })

  it("are retried by an update that touches only what has failed", async () => {
    const { outbox, updates } = createRelay()
    await outbox.retryEvents(["e1"])
    const [retry] = updates()
    expect(retry).toMatchObject({ Key: { id: "e1" }, ConditionExpression: expect.any(String) })
    const values = Object.values(retry?.ExpressionAttributeValues ?? {})
    expect(values).toEqual(expect.arrayContaining(["failed", "created", 0, NOW]))
    for (const removed of ["lastError", "nextRetryAt", "startedOn"]) {
      expect(retry?.UpdateExpression).toMatch(new RegExp(`REMOVE .*${removed}`))
    }
  })
})
