import { NumberValue } from "@aws-sdk/lib-dynamodb"
// @ts-expect-error It has no types.
import untypedDynoItemSize from "dyno-item-size"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { MAX_ITEM_BYTES, storedBytes } from "./item-size.ts"

const dynoItemSize: (item: object) => number = untypedDynoItemSize

describe("the size of an item", () => {
  it.each<[string, Record<string, unknown>, number]>([
    ["nothing", {}, 0],
    ["text counts in UTF-8, names too", { ä: "€" }, 2 + 3],
    ["null and booleans count one", { a: null, b: true, c: false }, 3 + 3],
    ["two digits of a number share a byte", { n: 12345 }, 1 + 4],
    ["a BigInt", { n: 12345678901234567890n }, 1 + 11],
    ["a NumberValue", { n: NumberValue.from("12.5") }, 1 + 3],
    ["binary", { b: new Uint8Array(10) }, 1 + 10],
    ["a list costs 3, and 1 for each element", { l: ["a", "bc"] }, 1 + 3 + 2 + 3],
    ["a map costs 3, and 1 for each entry", { m: { a: "bc", d: "e" } }, 1 + 3 + 2 + 5],
    ["a Map counts like a map", { m: new Map([["constructor", "x"]]) }, 1 + 3 + 1 + 12],
    ["a set of strings", { s: new Set(["a", "bc"]) }, 1 + 3 + 3],
    ["a set of numbers", { s: new Set([12, 3n]) }, 1 + 3 + 4],
    ["a set of binary values", { s: new Set([new Uint8Array(2)]) }, 1 + 3 + 2],
  ])("%s", (_, item, bytes) => {
    expect(storedBytes(item)).toBe(bytes)
  })

  it("leaves room for what the relay writes later: two of DynamoDB's 400 KB", () => {
    expect(MAX_ITEM_BYTES).toBe((400 - 2) * 1024)
  })
})

describe("beside another implementation, which leaves out the byte for each nested element", () => {
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { maxDepth: 4 },
      fc.constant(null),
      fc.boolean(),
      fc.string({ unit: "binary" }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.integer(),
      fc.array(tie("json"), { maxLength: 5 }),
      fc.dictionary(fc.string({ unit: "binary", minLength: 1 }), tie("json"), { maxKeys: 5 }),
    ),
  }))
  const items = fc.dictionary(fc.string({ minLength: 1 }), json, { minKeys: 1, maxKeys: 8 })

  const nestedElements = (value: unknown): number =>
    typeof value === "object" && value !== null
      ? Object.values(value).reduce((sum: number, inner) => sum + 1 + nestedElements(inner), 0)
      : 0
  const numbers = (value: unknown): number =>
    typeof value === "object" && value !== null
      ? Object.values(value).reduce((sum: number, inner) => sum + numbers(inner), 0)
      : Number(typeof value === "number")

  it("never counts less, and more by the sign, point and zeros of numbers only", () => {
    fc.assert(
      fc.property(items, (item) => {
        const elements = nestedElements(item) - Object.keys(item).length
        const beyond = storedBytes(item) - elements - dynoItemSize(item)
        expect(beyond).toBeGreaterThanOrEqual(0)
        // "-1.2345678901234567e-300" has 24 characters for 17 digits.
        expect(beyond).toBeLessThanOrEqual(11 * numbers(item))
      }),
      { numRuns: 300 },
    )
  })

  it("differs by less than 3 % for an order with a hundred lines", () => {
    const line = { sku: "SKU-000123", title: "A chair that folds", quantity: 2, price: 49.95, gift: false }
    const item = {
      id: "5d5b9a3e-9f0a-4b57-8f6e-0b7f7f6f5c11",
      type: "order.placed",
      payload: { lines: Array.from({ length: 100 }, () => line) },
      occurredAt: "2024-05-06T07:08:09.010Z",
      status: "created",
      retryCount: 0,
      gsiSortKey: 1714979289010,
    }
    const elements = 1 + 100 * 6
    expect(storedBytes(item) - elements).toBeGreaterThanOrEqual(dynoItemSize(item))
    expect(storedBytes(item) - elements).toBeLessThan(dynoItemSize(item) * 1.03)
  })
})
