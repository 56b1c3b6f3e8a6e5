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
    ["1 beside 100", 1, { push, items: holding(100) }, 101],
    ["2 beside 99 in a bare array", 2, holding(99), 101],
    ["150 with one that does not tell what it holds", 150, { push }, 150],
  ])("refuses %s, naming the limit and the number", (_, additional, collector, total) => {
    expect(() => assertRoomFor(additional, collector)).toThrow(new BatchSizeLimitError(100, total))
  })
})

describe("what is no collector", () => {
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
    expect(check).toThrow(
      expect.objectContaining({ context: { eventIds: expect.arrayContaining(["a", "b"]) } }),
    )
  })
})
