import { randomUUID } from "node:crypto"
import {
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactWriteItemsCommand,
} from "@aws-sdk/client-dynamodb"
import { QueryCommand as DocumentQuery, DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest"
import { clientFor } from "./client.ts"
import type { RunningDynamoDB } from "./engine.ts"
import { exemptFromFaults, type FaultOptions, injectFaults } from "./fault-injection.ts"
import { createOutboxTable, DEFAULT_INDEX_NAME } from "./outbox-table.ts"
import { startDynamoDB } from "./start-dynamodb.ts"

let database: RunningDynamoDB
const TableName = `outbox-${randomUUID()}`

beforeAll(async () => {
  database = await startDynamoDB({ engine: "dynoxide" })
  const client = clientFor(database.endpoint)
  await createOutboxTable(client, { tableName: TableName })
  client.destroy()
}, 30_000)
afterAll(() => database.stop())

function faultyClient(options: FaultOptions, maxAttempts = 1) {
  const client = clientFor(database.endpoint, { maxAttempts })
  onTestFinished(() => client.destroy())
  return { client, faults: injectFaults(client, options) }
}

const put = (client: DynamoDBClient, id: string) =>
  client.send(
    new PutItemCommand({
      TableName,
      Item: {
        id: { S: id },
        status: { S: "created" },
        gsiSortKey: { N: "1" },
        blob: { B: Buffer.from("x") },
      },
    }),
  )

const exists = (client: DynamoDBClient, id: string) =>
  exemptFromFaults(async () => {
    const key = { id: { S: id } }
    const { Item } = await client.send(new GetItemCommand({ TableName, Key: key, ConsistentRead: true }))
    return Item !== undefined
  })

test("a throttled request is refused under both names, and nothing is written", async () => {
  const { client, faults } = faultyClient({ seed: 1, throttle: 1 })
  const names = new Set<string>()
  for (let i = 0; i < 10; i++) {
    names.add(await put(client, "throttled").then(String, (error: Error) => error.name))
  }
  expect(names).toEqual(new Set(["ThrottlingException", "ProvisionedThroughputExceededException"]))
  expect(await exists(client, "throttled")).toBe(false)
  expect(faults.counts).toMatchObject({ attempts: 10, throttled: 10 })
})

test("the SDK's retries meet faults too, one by one, and get over them", { timeout: 30_000 }, async () => {
  const { client, faults } = faultyClient({ seed: 4, throttle: 0.2, failBeforeSending: 0.3 }, 10)
  for (let i = 0; i < 5; i++) await put(client, `retried-${i}`)
  const { attempts, throttled, notSent } = faults.counts
  expect(throttled).toBeGreaterThan(0)
  expect(attempts).toBe(5 + throttled + notSent)
})

test("a request that fails before sending is not carried out; one whose response is lost is", async () => {
  const { client, faults } = faultyClient({ seed: 1, failBeforeSending: 1 })
  await expect(put(client, "unsent")).rejects.toMatchObject({ code: "ECONNRESET" })
  expect(await exists(client, "unsent")).toBe(false)

  faults.plan({ loseAnswer: 1 })
  await expect(put(client, "unheard")).rejects.toMatchObject({ code: "ECONNRESET" })
  expect(await exists(client, "unheard")).toBe(true)
  expect(faults.counts).toMatchObject({ notSent: 1, answersLost: 1 })
})

test("lost responses leave the client's connections to others, however many are lost", async () => {
  const { client, faults } = faultyClient({ seed: 1, loseAnswer: 1 })
  // More than there are sockets.
  for (let i = 0; i < 60; i++) await expect(put(client, `unheard-${i}`)).rejects.toThrow()
  faults.off()
  await put(client, "heard")
  expect(await exists(client, "heard")).toBe(true)
})

test("conflicts come as DynamoDB reports them, for writes alone", async () => {
  const { client, faults } = faultyClient({ seed: 1, conflict: 1 })
  await expect(put(client, "conflict")).rejects.toMatchObject({ name: "TransactionConflictException" })
  const Put = { TableName, Item: { id: { S: "conflict" } } }
  await expect(
    client.send(new TransactWriteItemsCommand({ TransactItems: [{ Put }] })),
  ).rejects.toMatchObject({
    name: "TransactionCanceledException",
    CancellationReasons: [expect.objectContaining({ Code: "TransactionConflict" })],
  })
  await client.send(new GetItemCommand({ TableName, Key: { id: { S: "conflict" } } }))
  expect(faults.counts.conflicts).toBe(2)
})

test("faults can be limited to operations, delayed, switched off, on for a burst, and removed", async () => {
  const { client, faults } = faultyClient({ seed: 1, throttle: 1, operations: ["GetItem"] })
  await put(client, "other-operation")

  faults.plan({ throttle: 1 })
  faults.off()
  await put(client, "off")
  faults.burst(50)
  await expect(put(client, "burst")).rejects.toThrow("Injected")
  await vi.waitFor(() => expect(faults.isOn).toBe(false))
  await put(client, "burst")

  faults.plan({ delay: 1, longestDelayMs: 5 })
  faults.on()
  await put(client, "delayed")
  expect(faults.counts.delayed).toBe(1)

  faults.plan({ throttle: 1 })
  faults.remove()
  await put(client, "removed")
})

test("the same seed gives the same fates", async () => {
  const fates = async () => {
    const { client } = faultyClient({ seed: "again", throttle: 0.3, loseAnswer: 0.3, failBeforeSending: 0.2 })
    const results: string[] = []
    for (let i = 0; i < 20; i++) {
      results.push(
        await put(client, "same").then(
          () => "ok",
          (error: Error) => error.message,
        ),
      )
    }
    return results
  }
  expect(await fates()).toEqual(await fates())
})

test("a lagging index shows what was, page by page, also to document clients", async () => {
  const { client, faults } = faultyClient({ seed: 3, indexLagMs: 60_000 })
  const own = { ":status": { S: `lag-${randomUUID()}` } }
  const write = (id: string) =>
    exemptFromFaults(() =>
      client.send(
        new PutItemCommand({
          TableName,
          Item: {
            id: { S: id },
            status: own[":status"],
            gsiSortKey: { N: "1" },
            blob: { B: Buffer.from("x") },
          },
        }),
      ),
    )
  await write("before-1")
  await write("before-2")
  const input = {
    TableName,
    IndexName: DEFAULT_INDEX_NAME,
    KeyConditionExpression: "#status = :status AND gsiSortKey <= :now",
    ExpressionAttributeNames: { "#status": "status" },
    ExpressionAttributeValues: { ...own, ":now": { N: "5" } },
  }
  const first = await client.send(new QueryCommand(input))
  expect(first.Items).toHaveLength(2)
  expect(first.Items?.[0]?.blob?.B).toEqual(new Uint8Array([120]))
  await write("after")

  const documents = DynamoDBDocumentClient.from(client)
  const values = { ":status": own[":status"].S, ":now": 5 }
  const seen: unknown[] = []
  let ExclusiveStartKey: Record<string, unknown> | undefined
  do {
    const page = await documents.send(
      new DocumentQuery({
        ...input,
        ExpressionAttributeValues: values,
        Limit: 1,
        ...(ExclusiveStartKey && { ExclusiveStartKey }),
      }),
    )
    seen.push(...(page.Items ?? []).map(({ id }) => id))
    ExclusiveStartKey = page.LastEvaluatedKey
  } while (ExclusiveStartKey)
  expect(seen.toSorted()).toEqual(["before-1", "before-2"])
  expect(faults.counts.staleAnswers).toBe(3)

  faults.off()
  expect((await client.send(new QueryCommand(input))).Items).toHaveLength(3)
})

test("a lag ends: what is older than it is shown", async () => {
  const { client } = faultyClient({ seed: 3, indexLagMs: 100 })
  const look = async () => {
    const { Items } = await client.send(
      new QueryCommand({
        TableName,
        IndexName: DEFAULT_INDEX_NAME,
        KeyConditionExpression: "#status = :status",
        ExpressionAttributeNames: { "#status": "status" },
        ExpressionAttributeValues: { ":status": { S: "ending" } },
      }),
    )
    return Items?.length
  }
  expect(await look()).toBe(0)
  await exemptFromFaults(() =>
    client.send(
      new PutItemCommand({
        TableName,
        Item: { id: { S: "ending" }, status: { S: "ending" }, gsiSortKey: { N: "1" } },
      }),
    ),
  )
  await vi.waitFor(async () => expect(await look()).toBe(1), { timeout: 5_000, interval: 10 })
})

test.each([
  [{ throttle: 1.5 }, "throttle: expected a probability from 0 to 1, got 1.5"],
  [{ indexLagMs: -1 }, "indexLagMs: expected milliseconds from 0, got -1"],
])("%j is refused", (plan, message) => {
  expect(() => injectFaults(clientFor("http://127.0.0.1:1"), { seed: 1, ...plan })).toThrow(message)
})
