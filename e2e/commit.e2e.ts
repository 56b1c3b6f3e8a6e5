/** Transactions that the helper commits: what is stored, and what the caller is told, in every kind of trouble. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, UpdateCommand } from "@aws-sdk/lib-dynamodb"
import { BatchSizeLimitError, OutboxEventBus } from "outbox-event-bus"
import { expect, test } from "vitest"
import {
  type CommitOptions,
  getDynamoDBAwsSdkCollector,
  TransactionCanceledError,
  TransactionOutcomeUnknownError,
  type TransactWriteItem,
  withDynamoDBAwsSdkTransaction,
} from "../src/index.ts"
import { createTable, endpoint, newClient, type TestTable } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { connectionLost, intercept, loseAnswers, recordRequests } from "./fixture/wire.ts"
import { outboxOn } from "./fixture/worker.ts"

const getCollector = getDynamoDBAwsSdkCollector()

function busOn(table: TestTable) {
  return new OutboxEventBus(outboxOn(table, { getCollector, pollIntervalMs: 3_600_000 }), () => {})
}

/** Counts up on one item: two that happen at once are in conflict. */
const countUp = ({ tableName }: TestTable): TransactWriteItem => ({
  Update: {
    TableName: tableName,
    Key: { id: "counter" },
    UpdateExpression: "ADD #count :one",
    ExpressionAttributeNames: { "#count": "count" },
    ExpressionAttributeValues: { ":one": 1 },
  },
})

/** Counts up and emits, in one transaction. */
async function countAndEmit(table: TestTable, options: CommitOptions, eventId?: string): Promise<string> {
  const bus = busOn(table)
  return withDynamoDBAwsSdkTransaction(async (transaction) => {
    transaction.push(countUp(table))
    await bus.emit({ ...(eventId && { id: eventId }), type: "counted", payload: {} })
    return "counted"
  }, options)
}

async function stored(table: TestTable): Promise<{ count: number; events: number }> {
  const items = await table.all()
  const count = items.find(({ id }) => id === "counter")?.count ?? 0
  return { count, events: items.filter(({ type }) => type === "counted").length }
}

/** Fails a number of transactions before they reach the engine. */
function failFirst(client: DynamoDBClient, times: number, error: () => Error) {
  const state = { failed: 0 }
  intercept(client, async (request, send) => {
    if (request.step !== "publish" || state.failed >= times) return send()
    state.failed++
    throw error()
  })
  return state
}

const throttled = () =>
  Object.assign(new Error("slow down"), {
    name: "ThrottlingException",
    $metadata: { httpStatusCode: 400 },
    $fault: "client",
  })

test("commits business writes and events after the function, in one request, and wakes the relay", async () => {
  const table = await createTable()
  const client = newClient()
  const requests = recordRequests(client)
  const bus = busOn(table)
  const delivered: unknown[] = []
  bus.on("counted", async ({ id }) => void delivered.push(id))
  bus.start()
  try {
    await withDynamoDBAwsSdkTransaction(
      async (transaction) => {
        transaction.push(countUp(table))
        await bus.emit({ id: "one", type: "counted", payload: {} })
        expect(requests).toEqual([])
      },
      { client },
    )
    expect(requests.map(({ step }) => step)).toEqual(["publish"])
    expect(await stored(table)).toEqual({ count: 1, events: 1 })
    await until("it is delivered", () => delivered.length > 0)
  } finally {
    await bus.stop()
  }
})

test("marshals as the document client does that it is given, and as the one that was made of its client", async () => {
  const table = await createTable()
  for (const [id, makeClient] of [
    ["given", (_: DynamoDBClient, documents: DynamoDBDocumentClient) => documents],
    ["made", (client: DynamoDBClient) => client],
  ] as const) {
    const client = newClient()
    const documents = DynamoDBDocumentClient.from(client, { marshallOptions: { convertEmptyValues: true } })
    await withDynamoDBAwsSdkTransaction(
      async ({ push }) => push({ Put: { TableName: table.tableName, Item: { id, note: "" } } }),
      { client: makeClient(client, documents) },
    )
    expect(await table.read(id)).toEqual({ id, note: null })
  }
})

test("a response that got lost stores nothing twice, whoever retries", async () => {
  const table = await createTable()
  const client = newClient({ maxAttempts: 1 })
  const answers = loseAnswers(client, "publish", 2)
  await countAndEmit(table, { client })
  expect(answers.lost).toBe(2)
  expect(await stored(table)).toEqual({ count: 1, events: 1 })

  const retrying = newClient()
  loseAnswers(retrying, "publish", 2)
  await countAndEmit(table, { client: retrying })
  expect(await stored(table)).toEqual({ count: 2, events: 2 })
})

test("without any response it says that the outcome is unknown, with the token that tells later", async () => {
  const table = await createTable()
  const client = newClient({ maxAttempts: 1 })
  loseAnswers(client, "publish", Number.POSITIVE_INFINITY)
  const options = { client, clientRequestToken: "count-1", retryForMs: 200 }
  const error = await countAndEmit(table, options, "one").catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(TransactionOutcomeUnknownError)
  expect(error).toMatchObject({ clientRequestToken: "count-1", cause: { code: "ECONNRESET" } })
  expect(await stored(table)).toEqual({ count: 1, events: 1 })
})

test("a conflict storm: 20 transactions at once on one item are all stored, once each", async () => {
  const table = await createTable()
  const results = await Promise.all(
    Array.from({ length: 20 }, () => countAndEmit(table, { client: newClient(), retryForMs: 30_000 })),
  )
  expect(results).toEqual(Array(20).fill("counted"))
  expect(await stored(table)).toEqual({ count: 20, events: 20 })
})

test("throttling is retried; beyond the bound it says that nothing is stored", async () => {
  const table = await createTable()
  const client = newClient({ maxAttempts: 1 })
  const state = failFirst(client, 3, throttled)
  await countAndEmit(table, { client })
  expect(state.failed).toBe(3)
  expect(await stored(table)).toEqual({ count: 1, events: 1 })

  const throttledClient = newClient({ maxAttempts: 1 })
  failFirst(throttledClient, Number.POSITIVE_INFINITY, throttled)
  await expect(countAndEmit(table, { client: throttledClient, retryForMs: 100 })).rejects.toThrow(
    "DynamoDB did not accept the transaction within 100 ms (retryForMs); nothing of it is stored",
  )
  expect(await stored(table)).toEqual({ count: 1, events: 1 })
})

test("an id that is taken: the error names the event by position, and nothing is stored", async () => {
  const table = await createTable()
  const client = newClient()
  await countAndEmit(table, { client }, "one")
  const error = await countAndEmit(table, { client }, "one").catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(TransactionCanceledError)
  expect(error).toMatchObject({
    message:
      'The transaction was canceled, nothing of it is stored: write 1 (event "one"): an event with this id is in the table already.',
    refused: [
      {
        position: 1,
        action: "Put",
        tableName: table.tableName,
        eventId: "one",
        code: "ConditionalCheckFailed",
      },
    ],
    cause: { name: "TransactionCanceledException" },
  })
  expect(await stored(table)).toEqual({ count: 1, events: 1 })
})

test("a business write that is refused: the error names it by position and key", async () => {
  const table = await createTable()
  const bus = busOn(table)
  await table.put({ id: "order-1" })
  const { tableName } = table
  const place = withDynamoDBAwsSdkTransaction(
    async (transaction) => {
      await bus.emit({ id: "one", type: "counted", payload: {} })
      transaction.push({
        Put: {
          TableName: tableName,
          Item: { id: "order-1", card: "4111" },
          ConditionExpression: "attribute_not_exists(id)",
        },
      })
    },
    { client: newClient() },
  )
  const error = await place.catch((reason: unknown) => reason)
  expect(error).toMatchObject({
    message: `The transaction was canceled, nothing of it is stored: write 1 (Put in "${tableName}", id = 'order-1'): its condition failed.`,
    refused: [{ position: 1, key: { id: "order-1" } }],
  })
  expect(await stored(table)).toEqual({ count: 0, events: 0 })
})

test("101 items: the last push is refused, and nothing is stored", async () => {
  const table = await createTable()
  const place = withDynamoDBAwsSdkTransaction(
    async (transaction) => {
      for (let i = 0; i <= 100; i++) {
        expect(transaction.placesLeft).toBe(100 - i)
        transaction.push({ Put: { TableName: table.tableName, Item: { id: `order-${i}` } } })
      }
    },
    { client: newClient() },
  )
  await expect(place).rejects.toThrow(BatchSizeLimitError)
  expect(await table.all()).toEqual([])
})

test("a function that fails, and one that collects nothing, send nothing", async () => {
  const client = newClient()
  const requests = recordRequests(client)
  const table = await createTable()
  const fail = withDynamoDBAwsSdkTransaction(
    async (transaction) => {
      transaction.push(countUp(table))
      throw new Error("out of stock")
    },
    { client },
  )
  await expect(fail).rejects.toThrow("out of stock")
  await expect(withDynamoDBAwsSdkTransaction(async () => 7, { client })).resolves.toBe(7)
  expect(requests).toEqual([])
})

test("an inner call joins: both are committed together; if it fails, neither is, though the error is caught", async () => {
  const table = await createTable()
  const client = newClient()
  const requests = recordRequests(client)
  await withDynamoDBAwsSdkTransaction(
    async (transaction) => {
      transaction.push(countUp(table))
      await countAndEmitInside(table, client)
    },
    { client },
  )
  expect(requests).toHaveLength(1)
  expect((await stored(table)).events).toBe(1)

  const place = withDynamoDBAwsSdkTransaction(
    async (transaction) => {
      transaction.push(countUp(table))
      await withDynamoDBAwsSdkTransaction(async () => Promise.reject(new Error("no room")), { client }).catch(
        () => {},
      )
    },
    { client },
  )
  await expect(place).rejects.toThrow(
    "an inner call of withDynamoDBAwsSdkTransaction, which had joined it, has failed",
  )
  expect(await stored(table)).toEqual({ count: 1, events: 1 })
})

async function countAndEmitInside(table: TestTable, client: DynamoDBClient): Promise<void> {
  const bus = busOn(table)
  await withDynamoDBAwsSdkTransaction(
    async () => {
      await bus.emit({ type: "counted", payload: {} })
    },
    { client },
  )
}

test("a crash between the function and the commit stores nothing of it; one after the commit, everything", async () => {
  const table = await createTable()
  for (const [when, expected] of [
    ["before", { count: 0, events: 0 }],
    ["after", { count: 1, events: 1 }],
  ] as const) {
    const script = fileURLToPath(new URL("fixture/crashing-publisher.ts", import.meta.url))
    const child = spawn(process.execPath, ["--import", "tsx", script, endpoint(), table.tableName, when], {
      stdio: "inherit",
    })
    const [, signal] = await once(child, "exit")
    expect(signal).toBe("SIGKILL")
    expect(await stored(table)).toEqual(expected)
  }
})

test("a rival that writes the item between two tries does not make it stored twice", async () => {
  const table = await createTable()
  const client = newClient({ maxAttempts: 1 })
  let tries = 0
  intercept(client, async (request, send) => {
    if (request.step !== "publish" || tries++ > 0) return send()
    await send()
    await table.documents.send(new UpdateCommand(countUp(table).Update as never))
    throw connectionLost()
  })
  await countAndEmit(table, { client })
  expect(await stored(table)).toEqual({ count: 2, events: 1 })
})
