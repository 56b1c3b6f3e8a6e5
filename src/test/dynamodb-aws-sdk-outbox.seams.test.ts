/** What users' tests with mocked clients hold on to: a bare `{ send }`, and aws-sdk-client-mock. */
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import {
  DynamoDBDocumentClient,
  QueryCommand,
  TransactWriteCommand,
  UpdateCommand,
} from "@aws-sdk/lib-dynamodb"
import { mockClient } from "aws-sdk-client-mock"
import "aws-sdk-client-mock-vitest/extend"
import { HandlerError, type OutboxError } from "outbox-event-bus"
import { beforeEach, describe, expect, it, vi } from "vitest"
import { DynamoDBAwsSdkOutbox } from "../index.ts"
import { pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, event, item } from "./outbox.fixture.ts"

useFakeClock()

const table = { tableName: "outbox" }

describe("a bare { send } as the client", () => {
  const create = () => {
    const send = vi.fn()
    const outbox = new DynamoDBAwsSdkOutbox({ client: { send } as unknown as DynamoDBClient, ...table })
    return { send, outbox }
  }

  it("is all that is used: nothing else of the client is read", async () => {
    const send = vi
      .fn()
      .mockResolvedValueOnce({ Items: [] })
      .mockResolvedValueOnce({ Items: [item("e1")] })
    const read: PropertyKey[] = []
    const client = new Proxy(
      { send },
      {
        get(target, property, receiver) {
          read.push(property)
          return Reflect.get(target, property, receiver)
        },
      },
    ) as unknown as DynamoDBClient
    const outbox = new DynamoDBAwsSdkOutbox({ client, ...table })
    read.length = 0
    const handler = vi.fn(async () => {})
    outbox.start(handler, () => {})
    await vi.waitFor(() => expect(handler).toHaveBeenCalledOnce())
    await outbox.stop()
    await outbox.publish([event("e2")])
    await outbox.getFailedEvents()
    await outbox.retryEvents(["e3"])
    expect(new Set(read)).toEqual(new Set(["send"]))
  })

  it("gets, in the first poll, the recovery query, the query for due events, and the claim", async () => {
    const { send, outbox } = create()
    send.mockResolvedValueOnce({ Items: [] }).mockResolvedValueOnce({ Items: [item("e1")] })
    const handler = vi.fn(async () => {})
    outbox.start(handler, () => {})
    await vi.waitFor(() => expect(handler).toHaveBeenCalledOnce())
    await outbox.stop()
    const [recovery, due, claim] = send.mock.calls.map(([command]) => command)
    expect(recovery).toBeInstanceOf(QueryCommand)
    expect(recovery.input.ExpressionAttributeValues).toEqual({
      ":status": "active",
      ":now": expect.any(Number),
    })
    expect(due).toBeInstanceOf(QueryCommand)
    expect(due.input.ExpressionAttributeValues).toEqual({ ":status": "created", ":now": expect.any(Number) })
    expect(claim).toBeInstanceOf(UpdateCommand)
    expect(claim.input.Key).toEqual({ id: "e1" })
    // The claim was answered with undefined; then the index row is the event.
    expect(handler).toHaveBeenCalledExactlyOnceWith(event("e1"))
  })

  it("that has run out of answers is read as empty, of every request", async () => {
    const { send, outbox } = create()
    const errors: OutboxError[] = []
    outbox.start(
      async () => {},
      (error) => errors.push(error),
    )
    await pass(5000)
    await outbox.publish([event("e1")])
    expect(await outbox.getFailedEvents()).toEqual([])
    await outbox.retryEvents(["e1"])
    await outbox.stop()
    expect(send.mock.calls.length).toBeGreaterThan(5)
    expect(errors).toEqual([])
  })

  it("sees a failed attempt as an UpdateCommand whose expression names retryCount", async () => {
    const { send, outbox } = create()
    send.mockResolvedValueOnce({ Items: [] }).mockResolvedValueOnce({ Items: [item("e1")] })
    const onError = vi.fn()
    outbox.start(async () => Promise.reject(new Error("boom")), onError)
    await vi.waitFor(() => expect(onError).toHaveBeenCalledOnce())
    await outbox.stop()
    expect(onError.mock.lastCall?.[0]).toBeInstanceOf(HandlerError)
    const updates = send.mock.calls.map(([command]) => command).filter((c) => c instanceof UpdateCommand)
    expect(updates[1]?.input.UpdateExpression).toContain("retryCount")
    expect(updates[1]?.input.ExpressionAttributeValues).toMatchObject({ ":set_retryCount": 1 })
  })

  it("is kept in the field docClient, which can be replaced at any time", async () => {
    const { send, outbox } = create()
    const replacement = vi.fn()
    Object.assign(outbox, { docClient: { send: replacement } })
    await outbox.publish([event("e1")])
    expect(replacement.mock.lastCall?.[0]).toBeInstanceOf(TransactWriteCommand)
    expect(send).not.toHaveBeenCalled()
  })

  it("that always answers a query with the same event has it handled once", async () => {
    const { send, outbox } = create()
    send.mockImplementation(async ({ input }) =>
      input.ExpressionAttributeValues[":status"] === "created" ? { Items: [item("e1")] } : {},
    )
    const handler = vi.fn(async () => {})
    outbox.start(handler, () => {})
    await pass(5000)
    await outbox.stop()
    expect(handler).toHaveBeenCalledOnce()
  })
})

describe("aws-sdk-client-mock", () => {
  const mock = mockClient(DynamoDBDocumentClient)
  beforeEach(() => {
    mock.reset()
  })
  const create = () =>
    new DynamoDBAwsSdkOutbox({ client: new DynamoDBClient({ region: "eu-west-1" }), ...table })

  it("sees what is published", async () => {
    mock.on(TransactWriteCommand).resolves({})
    await create().publish([event("e1")])
    expect(mock).toHaveReceivedCommandOnce(TransactWriteCommand)
    expect(mock).toHaveReceivedCommandWith(TransactWriteCommand, {
      TransactItems: [
        { Put: { TableName: "outbox", Item: item("e1"), ConditionExpression: "attribute_not_exists(id)" } },
      ],
    })
  })

  it("answers the first poll in order, and sees the claim", async () => {
    mock
      .on(QueryCommand)
      .resolvesOnce({ Items: [] })
      .resolvesOnce({ Items: [item("e1")] })
    const handler = vi.fn(async () => {})
    const outbox = create()
    outbox.start(handler, () => {})
    await vi.waitFor(() => expect(handler).toHaveBeenCalledExactlyOnceWith(event("e1")))
    await outbox.stop()
    const kinds = mock.calls().map(({ args: [command] }) => command.constructor)
    expect(kinds.slice(0, 3)).toEqual([QueryCommand, QueryCommand, UpdateCommand])
    expect(mock).toHaveReceivedNthCommandWith(QueryCommand, 1, {
      IndexName: "status-gsiSortKey-index",
      ExpressionAttributeValues: { ":status": "active", ":now": expect.any(Number) },
    })
    expect(mock).toHaveReceivedNthCommandWith(QueryCommand, 2, {
      IndexName: "status-gsiSortKey-index",
      ExpressionAttributeValues: { ":status": "created", ":now": expect.any(Number) },
    })
    expect(mock).toHaveReceivedNthCommandWith(UpdateCommand, 1, { TableName: "outbox", Key: { id: "e1" } })
  })

  it("sees a failed attempt", async () => {
    mock
      .on(QueryCommand)
      .resolvesOnce({ Items: [] })
      .resolvesOnce({ Items: [item("e1")] })
    const outbox = create()
    const onError = vi.fn()
    outbox.start(async () => Promise.reject(new Error("boom")), onError)
    await vi.waitFor(() => expect(onError).toHaveBeenCalledOnce())
    await outbox.stop()
    expect(mock).toHaveReceivedCommandWith(UpdateCommand, {
      UpdateExpression: expect.stringContaining("retryCount"),
    })
  })

  it("answers getFailedEvents and retryEvents", async () => {
    mock
      .on(QueryCommand)
      .resolves({ Items: [item("e1", { status: "failed", retryCount: 5, lastError: "boom" })] })
    const outbox = create()
    expect(await outbox.getFailedEvents()).toEqual([{ ...event("e1"), retryCount: 5, error: "boom" }])
    await outbox.retryEvents(["e1"])
    expect(mock).toHaveReceivedCommandWith(UpdateCommand, { Key: { id: "e1" } })
  })
})

it("the same outbox serves both: what is sent are commands of lib-dynamodb alone", async () => {
  const { outbox, send } = createOutbox({ due: () => ({ Items: [item("e1")] }) })
  outbox.start(
    async () => {},
    () => {},
  )
  await pass(3000)
  await outbox.stop()
  const kinds = new Set(send.mock.calls.map(([command]) => (command as object).constructor))
  expect(kinds).toEqual(new Set([QueryCommand, UpdateCommand]))
})
