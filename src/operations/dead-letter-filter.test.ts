import type { FailedBusEvent } from "outbox-event-bus"
import { describe, expect, it } from "vitest"
import {
  assertFilter,
  type DeadLetterFilter,
  errorKindOf,
  fits,
  groupsOf,
  needsWholeItem,
} from "./dead-letter-filter.ts"

const letter = (more: Partial<FailedBusEvent> = {}): FailedBusEvent => ({
  id: "e1",
  type: "order.placed",
  payload: {},
  occurredAt: new Date(1000),
  retryCount: 5,
  error: "carrier responded 503 for order 42",
  ...more,
})

describe("the kind of an error", () => {
  it.each([
    ["carrier responded 503 for order 42", "carrier responded <n> for order <n>"],
    ['order "A-1" is unknown', "order <value> is unknown"],
    ["order 'A-1' is unknown", "order <value> is unknown"],
    ["no order 6f1f0f4e-9c1e-4d7a-8f63-0c4a0b1d2e3f", "no order <id>"],
    ["no order deadbeef01", "no order <id>"],
    ["timeout after 10.5 s at 12:30", "timeout after <n> s at <n>"],
    ["first line\nat somewhere:12", "first line"],
    ["facade decade", "facade decade"],
    ["", ""],
  ])("of %j is %j", (text, kind) => {
    expect(errorKindOf(text)).toBe(kind)
  })

  it("is not long", () => {
    expect(errorKindOf("x".repeat(500))).toHaveLength(161)
  })
})

describe("a filter", () => {
  it.each<[string, DeadLetterFilter, boolean]>([
    ["nothing", {}, true],
    ["its type", { type: "order.placed" }, true],
    ["another type", { type: "order" }, false],
    ["a part of its error", { error: "503" }, true],
    ["another text", { error: "504" }, false],
    ["an expression", { error: /RESPONDED 5\d\d/i }, true],
    ["an expression with a memory", { error: /carrier/g }, true],
    ["its kind", { errorKind: "carrier responded <n> for order <n>" }, true],
    ["another kind", { errorKind: "carrier" }, false],
    [
      "all of it",
      { type: "order.placed", error: "503", errorKind: "carrier responded <n> for order <n>" },
      true,
    ],
    ["not all of it", { type: "order.placed", error: "504" }, false],
  ])("for %s: %s", (_, filter, expected) => {
    expect(fits(letter(), filter)).toBe(expected)
    expect(fits(letter(), filter)).toBe(expected)
  })

  it("finds what has no error by nothing but an empty kind", () => {
    const { error: _, ...silent } = letter()
    expect(fits(silent, { errorKind: "" })).toBe(true)
    expect(fits(silent, { error: "x" })).toBe(false)
  })

  it("needs the item for all but times", () => {
    expect(needsWholeItem({})).toBe(false)
    expect(needsWholeItem({ occurredAfter: new Date() })).toBe(false)
    for (const filter of [{ type: "t" }, { error: "e" }, { errorKind: "k" }])
      expect(needsWholeItem(filter)).toBe(true)
  })

  it.each<[string, unknown]>([
    ["filter", null],
    ["filter.types", { types: ["a"] }],
    ["filter.type", { type: ["a"] }],
    ["filter.error", { error: 503 }],
    ["filter.errorKind", { errorKind: /x/ }],
    ["filter.occurredAfter", { occurredAfter: "yesterday" }],
    ["filter.occurredBefore", { occurredBefore: new Date("never") }],
  ])("is refused with the name %s where it could be misread: %o", (name, filter) => {
    expect(() => assertFilter(filter as DeadLetterFilter)).toThrow(`Invalid ${name}: `)
  })
})

it("groups are by type and kind, with the times of their first and last, and one of them", () => {
  const groups = groupsOf([
    letter({ id: "a", occurredAt: new Date(3000) }),
    letter({ id: "b", occurredAt: new Date(1000), error: "carrier responded 500 for order 7" }),
    letter({ id: "c", occurredAt: new Date(2000), type: "order.paid" }),
    letter({ id: "d", occurredAt: new Date(4000) }),
  ])
  expect([...groups.values()]).toEqual([
    {
      type: "order.placed",
      errorKind: "carrier responded <n> for order <n>",
      count: 3,
      oldest: new Date(1000),
      newest: new Date(4000),
      exampleId: "a",
    },
    expect.objectContaining({ type: "order.paid", count: 1, exampleId: "c" }),
  ])
})
