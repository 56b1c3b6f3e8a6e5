/** What payloads may hold, how it comes back, and what is refused. */
import { DynamoDBDocumentClient, GetCommand } from "@aws-sdk/lib-dynamodb"
import { ValidationError } from "outbox-event-bus"
import { expect, test } from "vitest"
import { someEvent } from "./fixture/events.ts"
import { createTable, newClient } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { recordRequests } from "./fixture/wire.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

class Money {
  constructor(
    readonly amount: number,
    readonly currency: string,
  ) {}
}

class Customer {
  readonly limit = new Money(500, "EUR")
  readonly nickname = undefined
  constructor(readonly name: string) {}
}

const AT = new Date("2024-02-29T12:00:00.000Z")

/** Each value with what a handler sees of it. */
const VALUES: Record<string, [stored: unknown, read: unknown]> = {
  "a Date": [{ at: AT }, { at: "2024-02-29T12:00:00.000Z" }],
  "a BigInt": [9_007_199_254_740_993n, 9_007_199_254_740_993n],
  numbers: [
    [0, -1.5, 1e-100, Number.MAX_SAFE_INTEGER],
    [0, -1.5, 1e-100, Number.MAX_SAFE_INTEGER],
  ],
  binary: [Buffer.from([0, 255]), new Uint8Array([0, 255])],
  "a set of strings": [new Set(["a", "b"]), new Set(["a", "b"])],
  "a set of numbers": [new Set([1, 2.5]), new Set([1, 2.5])],
  "nested class instances": [
    { customer: new Customer("Ada") },
    { customer: { name: "Ada", limit: { amount: 500, currency: "EUR" } } },
  ],
  "a Map": [new Map([["k", new Map([["n", 1]])]]), { k: { n: 1 } }],
  undefined: [{ a: undefined, b: [undefined, 2] }, { b: [2] }],
  "functions and symbols": [{ run: () => {}, kind: Symbol("k"), list: [() => {}, 2] }, { list: [2] }],
  "nothing, as the whole payload": [undefined, undefined],
  "a function, as the whole payload": [() => {}, undefined],
  "null, as the whole payload": [null, null],
  "a toJSON that returns its object": [
    {
      a: 1,
      toJSON() {
        return this
      },
    },
    { a: 1 },
  ],
  "empty values": [
    { text: "", list: [], map: {}, none: null },
    { text: "", list: [], map: {}, none: null },
  ],
  "a plain string": ["text", "text"],
  "a deep list": [[[[[["deep"]]]]], [[[[["deep"]]]]]],
  "names that mean something elsewhere": [
    { constructor: { constructor: 1 }, value: "1", toAttributeValue: 2 },
    { constructor: { constructor: 1 }, value: "1", toAttributeValue: 2 },
  ],
}

test.each(Object.entries(VALUES))("%s in a payload", async (_name, [stored, read]) => {
  const table = await createTable()
  const worker = startWorker(table)
  await worker.outbox.publish([someEvent({ payload: stored })])
  await until("it is delivered", () => worker.delivered.length === 1)
  expect(worker.delivered[0]?.payload).toEqual(read)
})

test("an event without a payload is retried, recovered and listed like any other", async () => {
  const table = await createTable()
  const outbox = outboxOn(table)
  await outbox.publish([someEvent({ id: "none", payload: undefined })])
  await table.set("none", { status: "active", gsiSortKey: 1, startedOn: 1 })
  const worker = startWorker(table, {
    maxRetries: 2,
    handler: () => {
      throw new Error("boom")
    },
  })
  const [failed] = await until("it is listed", async () => {
    const listed = await outbox.getFailedEvents()
    return listed.length === 1 && listed
  })
  expect(failed).toMatchObject({ id: "none", error: "boom", retryCount: 2 })
  expect(failed?.payload).toBeUndefined()
  expect(worker.delivered.map(({ payload }) => payload)).toEqual([undefined])
})

test("metadata comes back, with all that payloads may hold; without any, there is none", async () => {
  const table = await createTable()
  const worker = startWorker(table)
  const metadata = { correlationId: "c-1", at: AT, big: 2n ** 60n, nested: { tags: new Set(["x"]) } }
  await worker.outbox.publish([someEvent({ id: "with", metadata }), someEvent({ id: "without" })])
  await until("both are delivered", () => worker.delivered.length === 2)
  const [withIt, without] = ["with", "without"].map((id) => worker.delivered.find((event) => event.id === id))
  expect(withIt?.metadata).toEqual({ ...metadata, at: AT.toISOString() })
  expect(without).not.toHaveProperty("metadata")
})

test("what a handler does to its event doesn't change what is retried", async () => {
  const table = await createTable()
  const seen: unknown[] = []
  const worker = startWorker(table, {
    handler: ({ payload }) => {
      const order = payload as { lines: number[] }
      seen.push([...order.lines])
      order.lines.push(99)
      if (seen.length === 1) throw new Error("once more")
    },
  })
  await worker.outbox.publish([someEvent({ payload: { lines: [1] } })])
  await until("it is delivered twice", () => seen.length === 2)
  expect(seen).toEqual([[1], [1]])
})

const circular: { self?: unknown } = {}
circular.self = circular

const REFUSED: Record<string, [properties: object, path: string]> = {
  NaN: [{ payload: { lines: [1, Number.NaN] } }, "payload.lines[1]"],
  "an infinity": [{ payload: { price: Number.POSITIVE_INFINITY } }, "payload.price"],
  "a number that is not exact": [{ payload: { n: 2 ** 60 } }, "payload.n"],
  "a BigInt of 39 digits": [{ payload: { n: 10n ** 38n + 1n } }, "payload.n"],
  "an empty set": [{ payload: { tags: new Set() } }, "payload.tags"],
  "metadata that is no object": [{ metadata: ["a"] }, "metadata"],
  "a toJSON that throws": [{ payload: { a: { toJSON: () => JSON.parse("{") } } }, "payload.a"],
  "a key that the SDK drops": [{ payload: JSON.parse('{"a": {"__proto__": 1}}') }, "payload.a"],
  "a circle": [{ payload: circular }, "payload.self"],
  "an invalid Date in the payload": [{ payload: { at: new Date("never") } }, "payload.at"],
  "an invalid occurredAt": [{ occurredAt: new Date("never") }, "occurredAt"],
  "an item over 400 KB": [{ payload: "x".repeat(400 * 1024) }, "payload"],
}

test.each(Object.entries(REFUSED))(
  "%s is refused with id and path, before anything is sent or pushed",
  async (_name, [properties, path]) => {
    const table = await createTable()
    const client = newClient()
    const requests = recordRequests(client)
    const outbox = outboxOn(table, { client })
    const batch = [someEvent(), { ...someEvent({ id: "the-bad-one" }), ...properties }]
    const pushed: unknown[] = []
    for (const collector of [undefined, { push: (item: unknown) => void pushed.push(item) }]) {
      const error = await outbox.publish(batch, collector).catch((reason) => reason)
      expect(error).toBeInstanceOf(ValidationError)
      expect(error.message).toContain("the-bad-one")
      expect(error.message).toContain(`${path} `)
    }
    expect(requests).toEqual([])
    expect(pushed).toEqual([])
  },
)

test("the largest payload that is accepted can be claimed, failed and listed", async () => {
  const table = await createTable()
  const worker = startWorker(table, {
    maxRetries: 1,
    handler: () => {
      throw new Error("x".repeat(5000))
    },
  })
  await worker.outbox.publish([someEvent({ id: "large", payload: "x".repeat(397 * 1024) })])
  await until("it is a dead letter", async () => (await table.read("large"))?.status === "failed")
  expect(await worker.outbox.getFailedEvents()).toMatchObject([{ id: "large", retryCount: 1 }])
})

test("a document client of the user's on the same DynamoDBClient keeps its own handling of numbers", async () => {
  const table = await createTable()
  const client = newClient()
  const read = async (documents: DynamoDBDocumentClient) =>
    (await documents.send(new GetCommand({ TableName: table.tableName, Key: { id: "mine" } }))).Item?.payload
  await table.put({ id: "mine", payload: { total: 42 } })

  const made = { before: DynamoDBDocumentClient.from(client), after: undefined as unknown }
  const worker = startWorker(table, { client })
  const after = DynamoDBDocumentClient.from(client, { unmarshallOptions: { wrapNumbers: false } })
  await worker.outbox.publish([someEvent({ payload: { big: 2n ** 63n } })])
  await until("it is delivered", () => worker.delivered.length === 1)
  expect(await read(made.before)).toEqual({ total: 42 })
  expect(await read(after)).toEqual({ total: 42 })
  expect(worker.delivered[0]?.payload).toEqual({ big: 2n ** 63n })
})
