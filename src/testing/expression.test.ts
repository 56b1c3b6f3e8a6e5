/** The expressions that the outbox writes, on plain items. */
import { describe, expect, it } from "vitest"
import { holds, projected, updated } from "./expression.ts"

const item = { id: "a", status: "active", gsiSortKey: 5, retryCount: 2, size: 12345678901234567890n }
const values = { ":active": "active", ":created": "created", ":five": 5, ":six": 6, ":text": "5", ":big": 1n }
const placeholders = { names: { "#status": "status", "#key": "gsiSortKey" }, values }

describe("a condition", () => {
  it.each<[string, boolean]>([
    ["attribute_exists(id)", true],
    ["attribute_exists(claimToken)", false],
    ["attribute_not_exists(claimToken)", true],
    ["attribute_not_exists(#status)", false],
    ["#status = :active", true],
    ["#status = :created", false],
    ["#status <> :created", true],
    ["#status <> :active", false],
    ["#key < :six", true],
    ["#key < :five", false],
    ["#key <= :five", true],
    ["#key > :five", false],
    ["#key >= :five", true],
    ["size > :big", true],
    ["#key BETWEEN :five AND :six", true],
    ["#key BETWEEN :six AND :six", false],
    ["#key IN (:six, :five)", true],
    ["#key IN (:six)", false],
    ["begins_with(#status, :active)", true],
    ["begins_with(#status, :created)", false],
    ["begins_with(#key, :text)", false],
    // Values of different types are neither equal nor ordered.
    ["#key = :text", false],
    ["#key <> :text", true],
    ["#key < :text", false],
    // So is an attribute that is missing.
    ["missing = :five", false],
    ["missing <> :five", true],
    ["missing <= :five", false],
    ["NOT #key = :five", false],
    ["#status = :created AND #key = :five OR #key = :five", true],
    ["#key = :five OR #status = :created AND #status = :created", true],
    ["(#key = :five OR #key = :six) AND #status = :created", false],
    ["(#status = :active and #key between :five and :six) or (#status = :created)", true],
    ["NOT (#status = :created OR #key = :six)", true],
  ])("%s: %s", (condition, expected) => {
    expect(holds(condition, item, placeholders)).toBe(expected)
  })

  it("of an item that does not exist finds no attribute, and none at all always holds", () => {
    expect(holds("attribute_not_exists(id)", undefined, {})).toBe(true)
    expect(holds("attribute_exists(id)", undefined, {})).toBe(false)
    expect(holds(undefined, undefined, {})).toBe(true)
  })

  it.each([
    ["contains(#status, :active)", "contains"],
    ["#status = :unknown", ":unknown"],
    ["#unknown = :active", "#unknown"],
    ["#status = :active AND", "its end"],
    ["#status = :active :active", ":active"],
    ["(#status = :active", "its end"],
    ["#status ~ :active", "what follows"],
    ["#status + :active", "know +"],
  ])("that can't be evaluated is refused: %s", (condition, what) => {
    expect(() => holds(condition, item, placeholders)).toThrow(what)
  })
})

describe("an update", () => {
  it("sets and removes, from what the item was before", () => {
    const before = { a: 1, b: 2, c: 3 }
    const after = updated("SET a = b, b = a, d = :d REMOVE c, e", before, { values: { ":d": "x" } })
    expect(after).toEqual({ a: 2, b: 1, d: "x" })
    expect(before).toEqual({ a: 1, b: 2, c: 3 })
  })

  it("counts, also from nothing", () => {
    const expression = "SET #a = if_not_exists(#a, :zero) + :two, #b = if_not_exists(#b, :zero) - :two"
    const names = { "#a": "a", "#b": "b" }
    expect(updated(expression, { a: 5 }, { names, values: { ":zero": 0, ":two": 2 } })).toEqual({
      a: 7,
      b: -2,
    })
  })

  it("adds to a counter, also to one that is not there yet", () => {
    const placeholders = { names: { "#a": "a" }, values: { ":one": 1 } }
    expect(updated("SET d = :one REMOVE c ADD #a :one, b :one", { a: 5, c: 1 }, placeholders)).toEqual({
      a: 6,
      b: 1,
      d: 1,
    })
  })

  it("of a kind that it doesn't know is refused", () => {
    expect(() => updated("DELETE a :one", {}, { values: { ":one": 1 } })).toThrow("DELETE")
  })
})

it("a projection keeps the named attributes; without one, all are kept", () => {
  expect(projected("id, #key", item, placeholders)).toEqual({ id: "a", gsiSortKey: 5 })
  expect(projected(undefined, item, placeholders)).toBe(item)
})
