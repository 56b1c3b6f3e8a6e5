import { NumberValue } from "@aws-sdk/lib-dynamodb"
import { BatchSizeLimitError, type BusEvent, ValidationError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import {
  DuplicateEventIdError,
  EventAlreadyPublishedError,
  UnstorableEventError,
} from "../item/publish-errors.ts"
import type { TransactWriteItem } from "../transaction/collector.ts"
import { getDynamoDBAwsSdkCollector, withDynamoDBAwsSdkTransaction } from "../transaction-storage.ts"
import { createOutbox, event, item, named } from "./outbox.fixture.ts"

const events = (count: number): BusEvent[] => Array.from({ length: count }, (_, i) => event(`e${i}`))
const putOf = (id: string): TransactWriteItem => ({
  Put: { TableName: "outbox", Item: item(id), ConditionExpression: "attribute_not_exists(id)" },
})
const business = (count: number): TransactWriteItem[] =>
  Array.from({ length: count }, (_, i) => ({ Put: { TableName: "orders", Item: { id: `o${i}` } } }))

describe("without a collector", () => {
  it("sends nothing for no events", async () => {
    const { outbox, send } = createOutbox()
    await outbox.publish([])
    expect(send).not.toHaveBeenCalled()
  })

  it.each([1, 2, 100])(
    "sends %i events in one transaction, none of which overwrites an event",
    async (count) => {
      const { outbox, steps, inputsOf } = createOutbox()
      await outbox.publish(events(count))
      expect(steps()).toEqual(["publish"])
      expect(inputsOf("publish")).toEqual([{ TransactItems: events(count).map(({ id }) => putOf(id)) }])
    },
  )

  it("sends metadata, Dates as ISO strings, and no undefined values", async () => {
    const { outbox, inputsOf } = createOutbox()
    const at = new Date("2024-05-06T07:08:09.010Z")
    await outbox.publish([event("e1", { payload: { at, none: undefined }, metadata: { traceId: "t" } })])
    expect(inputsOf("publish")[0]?.TransactItems[0]?.Put.Item).toMatchObject({
      payload: { at: "2024-05-06T07:08:09.010Z" },
      metadata: { traceId: "t" },
    })
    expect(inputsOf("publish")[0]?.TransactItems[0]?.Put.Item.payload).not.toHaveProperty("none")
  })

  it("refuses more than 100 events, and sends nothing", async () => {
    const { outbox, send } = createOutbox()
    await expect(outbox.publish(events(101))).rejects.toThrow(new BatchSizeLimitError(100, 101))
    expect(send).not.toHaveBeenCalled()
  })

  it("names the ids that are in the table already", async () => {
    const CancellationReasons = ["None", "ConditionalCheckFailed", "ConditionalCheckFailed"].map((Code) => ({
      Code,
    }))
    const { outbox } = createOutbox({
      publish: () => Promise.reject(named("TransactionCanceledException", { CancellationReasons })),
    })
    const publish = outbox.publish(events(3))
    await expect(publish).rejects.toThrow(ValidationError)
    await expect(publish).rejects.toThrow(
      'Events are in the table "outbox" already: e1, e2. Nothing was published.',
    )
    await expect(publish).rejects.toThrow(EventAlreadyPublishedError)
    await expect(publish).rejects.toMatchObject({
      name: "EventAlreadyPublishedError",
      eventIds: ["e1", "e2"],
      context: { eventIds: ["e1", "e2"] },
    })
  })

  it("passes on every other error of the database as it is", async () => {
    const error = named("ProvisionedThroughputExceededException")
    const { outbox } = createOutbox({ publish: () => Promise.reject(error) })
    await expect(outbox.publish(events(1))).rejects.toBe(error)
  })
})

describe("with a collector", () => {
  it("pushes one Put for each event, and sends nothing", async () => {
    const { outbox, send } = createOutbox()
    const push = vi.fn()
    await outbox.publish(events(2), { push })
    expect(push.mock.calls).toEqual([[putOf("e0")], [putOf("e1")]])
    expect(send).not.toHaveBeenCalled()
  })

  it("takes a bare array, behind what it holds", async () => {
    const { outbox, send } = createOutbox()
    const items = business(1)
    await outbox.publish(events(1), items)
    expect(items).toEqual([...business(1), putOf("e0")])
    expect(send).not.toHaveBeenCalled()
  })

  it("finds it by getCollector, and in the transaction of the helper", async () => {
    const { outbox, send } = createOutbox({}, { getCollector: getDynamoDBAwsSdkCollector() })
    const items = await withDynamoDBAwsSdkTransaction(async (collector) => {
      await outbox.publish(events(1))
      return collector.items
    })
    expect(items).toEqual([putOf("e0")])
    expect(send).not.toHaveBeenCalled()
    await outbox.publish(events(1))
    expect(send).toHaveBeenCalledOnce()
  })

  it("prefers the one that is passed to the one that getCollector finds", async () => {
    const found = { push: vi.fn() }
    const passed = { push: vi.fn() }
    const { outbox } = createOutbox({}, { getCollector: () => found })
    await outbox.publish(events(1), passed)
    expect(passed.push).toHaveBeenCalledOnce()
    expect(found.push).not.toHaveBeenCalled()
  })

  it.each([undefined, null])("reads %o from getCollector as none", async (none) => {
    const { outbox, steps } = createOutbox({}, { getCollector: () => none as undefined })
    await outbox.publish(events(1))
    expect(steps()).toEqual(["publish"])
  })

  it.each<
    [
      string,
      (items: TransactWriteItem[]) => TransactWriteItem[] | { push: () => void; items: TransactWriteItem[] },
    ]
  >([
    ["an array", (items) => items],
    ["an object with items", (items) => ({ items, push: () => items.push({}) })],
  ])("refuses more than 100 items together, and pushes nothing: %s", async (_, collectorOf) => {
    const { outbox } = createOutbox()
    const items = business(60)
    await outbox.publish(events(40), collectorOf([...items]))
    const publish = outbox.publish(events(41), collectorOf(items))
    await expect(publish).rejects.toThrow(BatchSizeLimitError)
    await expect(publish).rejects.toThrow("collector already holds 60 of the 100 items")
    await expect(publish).rejects.toMatchObject({ context: { limit: 100, actual: 101 } })
    expect(items).toHaveLength(60)
  })

  it("refuses an id that the transaction has already, which DynamoDB would refuse as a whole", async () => {
    const { outbox } = createOutbox()
    const items: TransactWriteItem[] = []
    await outbox.publish([event("e1")], items)
    const publish = outbox.publish([event("e2"), event("e1")], items)
    await expect(publish).rejects.toThrow(DuplicateEventIdError)
    await expect(publish).rejects.toThrow("Event ids occur twice in one transaction: e1")
    await expect(publish).rejects.toMatchObject({ name: "DuplicateEventIdError", eventIds: ["e1"] })
    expect(items).toHaveLength(1)
  })

  it("refuses what can't collect", async () => {
    const { outbox, send } = createOutbox()
    const publish = outbox.publish(events(1), {} as TransactWriteItem[])
    await expect(publish).rejects.toThrow("The transaction passed to publish has no push method")
    expect(send).not.toHaveBeenCalled()
  })
})

describe("an event that can't be stored", () => {
  const hostile = Object.defineProperty({}, "a", {
    enumerable: true,
    get: () => {
      throw new Error("boom")
    },
  })
  const circular: Record<string, unknown> = {}
  circular.self = circular

  it.each<[string, Partial<BusEvent>, string]>([
    ["NaN", { payload: { total: Number.NaN } }, "payload.total is NaN"],
    ["Infinity", { payload: [Number.POSITIVE_INFINITY] }, "payload[0] is Infinity"],
    ["2^53", { payload: 2 ** 53 }, "payload is 9007199254740992"],
    ["a tiny number", { payload: { n: 1e-131 } }, "payload.n is 1e-131"],
    ["an immense NumberValue", { payload: { n: NumberValue.from("1e300") } }, "payload.n is 1e300"],
    ["an empty set", { payload: { tags: new Set() } }, "payload.tags is an empty set"],
    ["a getter that throws", { payload: hostile }, "payload.a can't be read"],
    ["metadata that is a list", { metadata: [1] as never }, "metadata is an object; allowed"],
    ["a promise", { payload: Promise.resolve(1) }, "payload is a Promise"],
    ["a Blob", { payload: { file: new Blob([]) } }, "payload.file is a Blob"],
    ["half of a surrogate pair", { payload: { name: "\uDFFF" } }, "payload.name is not well-formed Unicode"],
    ["a cycle", { payload: circular }, "payload.self refers back"],
    ["an empty key", { payload: { "": 1 } }, "payload has an empty key"],
    ["__proto__", { payload: JSON.parse('{"__proto__":1}') }, 'payload has the key "__proto__"'],
    ["an invalid time", { occurredAt: new Date(Number.NaN) }, "occurredAt is an invalid Date"],
    ["400 KB", { payload: "x".repeat(400 * 1024) }, "payload is too large"],
  ])("is refused with its id and path, before anything is sent or pushed: %s", async (_, bad, message) => {
    const { outbox, send } = createOutbox()
    const items: TransactWriteItem[] = []
    for (const collector of [undefined, items]) {
      const publish = outbox.publish([event("good"), event("bad", bad)], collector)
      await expect(publish).rejects.toThrow(ValidationError)
      await expect(publish).rejects.toThrow(UnstorableEventError)
      await expect(publish).rejects.toMatchObject({ name: "UnstorableEventError", eventId: "bad" })
      await expect(publish).rejects.toThrow(`Event 'bad' can't be stored: ${message}`)
    }
    expect(items).toEqual([])
    expect(send).not.toHaveBeenCalled()
  })
})
