import { BatchSizeLimitError, ValidationError } from "outbox-event-bus"
import { describe, expect, it } from "vitest"
import {
  assertDistinctIds,
  assertRoomFor,
  type DynamoDBAwsSdkTransactionCollector,
  type TransactWriteItem,
} from "./collector.ts"

const put = (id: string, TableName = "outbox"): TransactWriteItem => ({ Put: { TableName, Item: { id } } })
const holding = (count: number): TransactWriteItem[] =>
  Array.from({ length: count }, (_, i) => put(`business-${i}`, "orders"))
const push = () => {}

describe("the limit of 100 items", () => {
  it.each<[string, number, DynamoDBAwsSdkTransactionCollector | undefined]>([
    ["100 without a collector", 100, undefined],
    ["100 with one that holds nothing", 100, { push, items: [] }],
    ["1 beside 99", 1, { push, items: holding(99) }],
    ["1 beside 99 in a bare array", 1, holding(99)],
    ["100 with one that does not tell what it holds", 100, { push }],
  ])("admits %s", (_, additional, collector) => {
    expect(() => assertRoomFor(additional, collector)).not.toThrow()
  })

  it.each<[string, number, DynamoDBAwsSdkTransactionCollector | undefined, number]>([
    ["101 without a collector", 101, undefined, 101],
    ["101 beside others", 101, { push, items: holding(1) }, 102],
    ["150 with one that does not tell what it holds", 150, { push }, 150],
  ])("refuses %s, naming the limit and the number", (_, additional, collector, total) => {
    expect(() => assertRoomFor(additional, collector)).toThrow(new BatchSizeLimitError(100, total))
  })
})

describe("a collector without room", () => {
  it.each<[string, number, DynamoDBAwsSdkTransactionCollector, string]>([
    [
      "1 beside 100",
      1,
      { push, items: holding(100) },
      "Cannot publish 1 event: the transaction's collector already holds 100 of",
    ],
    [
      "2 beside 99 in a bare array",
      2,
      holding(99),
      "Cannot publish 2 events: the transaction's collector already holds 99 of",
    ],
    [
      "100 beside 1",
      100,
      { push, items: holding(1) },
      "Cannot publish 100 events: the transaction's collector already holds 1 of",
    ],
  ])("is what the error names: %s", (_, additional, collector, text) => {
    const check = () => assertRoomFor(additional, collector)
    expect(check).toThrow(BatchSizeLimitError)
    expect(check).toThrow(`${text} the 100 items that DynamoDB allows in a transaction.`)
    expect(check).toThrow(
      expect.objectContaining({
        name: "BatchSizeLimitError",
        stack: expect.stringContaining(text),
        context: expect.objectContaining({ limit: 100, actual: 101 }),
      }),
    )
  })
})

describe("what is no collector", () => {
  it("refuses what an uncalled getDynamoDBAwsSdkCollector returns, and says what to write", () => {
    const check = () => assertRoomFor(1, (() => undefined) as unknown as DynamoDBAwsSdkTransactionCollector)
    expect(check).toThrow("Write getCollector: getDynamoDBAwsSdkCollector().")
  })

  it("tells nothing of what the refused object holds", () => {
    const check = () => assertRoomFor(1, { card: "4111" } as unknown as DynamoDBAwsSdkTransactionCollector)
    expect(check).not.toThrow("4111")
  })

  it.each([
    ["a client", { send: () => {} }],
    ["an object whose push is no function", { push: 1 }],
    ["a string", "transaction"],
  ])("refuses %s", (_, value) => {
    const check = () => assertRoomFor(1, value as unknown as DynamoDBAwsSdkTransactionCollector)
    expect(check).toThrow(ValidationError)
    expect(check).toThrow(/^The transaction passed to publish has no push method; it is .*Allowed: an array/)
  })
})

describe("distinct ids", () => {
  it("admits one write for each event", () => {
    expect(() => assertDistinctIds([put("a"), put("b")], { push, items: [put("c")] })).not.toThrow()
  })

  it("admits an id that another table has too", () => {
    expect(() => assertDistinctIds([put("a")], { push, items: [put("a", "orders")] })).not.toThrow()
  })

  it("admits other writes beside the events", () => {
    const items: TransactWriteItem[] = [
      { Delete: { TableName: "outbox", Key: { id: "a" } } },
      { Update: { TableName: "orders", Key: { id: "a" }, UpdateExpression: "SET x = :x" } },
    ]
    expect(() => assertDistinctIds([put("a")], { push, items })).not.toThrow()
  })

  it.each<[string, TransactWriteItem[], DynamoDBAwsSdkTransactionCollector | undefined]>([
    ["within one publish", [put("a"), put("b"), put("a"), put("b"), put("c")], undefined],
    ["across publishes", [put("a"), put("b")], { push, items: [put("a"), put("b"), put("x")] }],
    ["across publishes into a bare array", [put("a"), put("b")], [put("b"), put("a")]],
  ])("names the ids that occur twice %s", (_, puts, collector) => {
    const check = () => assertDistinctIds(puts, collector)
    expect(check).toThrow(ValidationError)
    expect(check).toThrow(/^Event ids occur twice in one transaction: (a, b|b, a)\. Nothing was published\.$/)
    expect(check).toThrow(expect.objectContaining({ eventIds: expect.arrayContaining(["a", "b"]) }))
  })
})
