import { describe, expect, it } from "vitest"
import { canceledError, codesOf } from "./canceled.ts"
import type { TransactWriteItem } from "./collector.ts"

type Put = NonNullable<TransactWriteItem["Put"]>
const put = (item: Put["Item"], more: Partial<Put> = {}): TransactWriteItem => ({
  Put: { TableName: "orders", Item: item, ...more },
})

function errorOf(
  items: TransactWriteItem[],
  reasons: object[],
  events: [number, string][] = [],
  isRead = false,
) {
  const cause = Object.assign(new Error("canceled"), { CancellationReasons: reasons })
  const eventIds = new Map(events.map(([position, id]) => [items[position] as TransactWriteItem, id]))
  return { error: canceledError(cause, { items, eventIds, isRead }), cause }
}

const FAILED = { Code: "ConditionalCheckFailed", Message: "The conditional request failed" }
const FINE = { Code: "None" }

describe("the error of a canceled transaction", () => {
  it("lists the refused writes alone, with position, action, table, key and code, and has DynamoDB's as its cause", () => {
    const items: TransactWriteItem[] = [
      put({ id: "fine" }),
      { Update: { TableName: "stock", Key: { sku: "s1", shop: 7 }, UpdateExpression: "SET a = :a" } },
      { Delete: { TableName: "carts", Key: { id: "c1" } } },
      {
        ConditionCheck: {
          TableName: "users",
          Key: { id: "u1" },
          ConditionExpression: "attribute_exists(id)",
        },
      },
      put({ id: "e1" }, { TableName: "outbox" }),
    ]
    const { error, cause } = errorOf(
      items,
      [FINE, FAILED, { Code: "TransactionConflict" }, FAILED, FAILED],
      [[4, "e1"]],
    )
    expect(error.refused).toEqual([
      { position: 1, action: "Update", tableName: "stock", key: { sku: "s1", shop: 7 }, code: FAILED.Code },
      { position: 2, action: "Delete", tableName: "carts", key: { id: "c1" }, code: "TransactionConflict" },
      { position: 3, action: "ConditionCheck", tableName: "users", key: { id: "u1" }, code: FAILED.Code },
      {
        position: 4,
        action: "Put",
        tableName: "outbox",
        eventId: "e1",
        key: { id: "e1" },
        code: FAILED.Code,
      },
    ])
    expect(error.message).toBe(
      "The transaction was canceled, nothing of it is stored: " +
        "write 1 (Update in \"stock\", sku = 's1', shop = 7): its condition failed; " +
        "write 2 (Delete in \"carts\", id = 'c1'): another request was writing the same item (TransactionConflict); " +
        "write 3 (ConditionCheck in \"users\", id = 'u1'): its condition failed; " +
        'write 4 (event "e1"): an event with this id is in the table already.',
    )
    expect(error.cause).toBe(cause)
    expect(error.name).toBe("TransactionCanceledError")
  })

  it("takes for the key of a Put what its condition requires to be absent, and shows nothing else of the item", () => {
    const item = { pk: "ORDER#1", sk: 2, card: "4111", blob: { secret: 1 } }
    const condition = {
      ConditionExpression:
        "attribute_not_exists(#pk) AND attribute_not_exists( sk ) AND attribute_not_exists(blob) AND card <> :c",
      ExpressionAttributeNames: { "#pk": "pk" },
    }
    const { error } = errorOf([put(item, condition)], [FAILED])
    expect(error.refused[0]?.key).toEqual({ pk: "ORDER#1", sk: 2 })
    expect(error.message).not.toMatch(/4111|secret/)
    const either = { ConditionExpression: "attribute_not_exists(pk) OR attribute_not_exists(card)" }
    expect(errorOf([put(item, either)], [FAILED]).error.refused[0]).not.toHaveProperty("key")
    const unknown = errorOf([put(item)], [FAILED]).error
    expect(unknown.refused[0]).not.toHaveProperty("key")
    expect(unknown.message).toContain('write 0 (Put in "orders"): its condition failed')
  })

  it("tells the reason of a write that is not valid, and the code of any other", () => {
    const items = [put({ id: "a" }), put({ id: "b" }), put({ id: "c" })]
    const reasons = [
      { Code: "ValidationError", Message: "Item size has exceeded the maximum allowed size" },
      { Code: "ValidationError" },
      { Code: "ItemCollectionSizeLimitExceeded" },
    ]
    const { error } = errorOf(items, reasons)
    expect(error.message).toContain(": ValidationError: Item size has exceeded the maximum allowed size; ")
    expect(error.message).toContain(": ValidationError; ")
    expect(error.message).toContain(": ItemCollectionSizeLimitExceeded.")
  })

  it("tells a repetition from any other refusal", () => {
    const items = [put({ id: "o1" }), put({ id: "e1" }, { TableName: "outbox" })]
    const isRepetition = (...reasons: object[]) => errorOf(items, reasons, [[1, "e1"]]).error.isRepetition
    expect(isRepetition(FINE, FAILED)).toBe(true)
    expect(isRepetition(FAILED, FAILED)).toBe(false)
    expect(isRepetition(FAILED, FINE)).toBe(false)
    expect(isRepetition(FINE, { Code: "TransactionConflict" })).toBe(false)
    expect(isRepetition()).toBe(false)
  })

  it("does not claim that nothing is stored where the function may have sent the items itself", () => {
    const items = [put({ id: "e1" }, { TableName: "outbox" })]
    const { message } = errorOf(items, [FAILED], [[0, "e1"]], true).error
    expect(message).toContain("if its function has sent them itself, they are stored")
    expect(message).not.toContain("nothing of it is stored")
    expect(errorOf([put({ id: "o" })], [FAILED], [], true).error.message).toContain("nothing of it is stored")
  })

  it("says so where DynamoDB does not tell, or tells of more writes than there are", () => {
    expect(errorOf([put({ id: "a" })], []).error.message).toContain(
      "DynamoDB does not say which write was refused",
    )
    expect(errorOf([], [FAILED]).error.refused).toEqual([])
    expect(
      canceledError(new Error("no reasons"), { items: [], eventIds: new Map(), isRead: false }).refused,
    ).toEqual([])
  })
})

it("codesOf names those of the writes that were not accepted", () => {
  const error = { CancellationReasons: [FINE, FAILED, {}, { Code: "ThrottlingError" }] }
  expect(codesOf(error)).toEqual(["ConditionalCheckFailed", "ThrottlingError"])
  expect(codesOf({})).toEqual([])
  expect(codesOf({ CancellationReasons: [null, FAILED] })).toEqual(["ConditionalCheckFailed"])
  expect(codesOf(null)).toEqual([])
})
