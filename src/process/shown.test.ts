import { describe, expect, it } from "vitest"
import { described, listed, member, quoted, shown } from "./shown.ts"

const FORGED = "order-1\n2026-01-01 INFO paid\r\u001b[2K\u0085\u2028\u2029\u202e\ud800\u{e0001}"

describe("a text that could forge a line of a log", () => {
  it.each([
    ["quoted", quoted(FORGED)],
    ["listed", listed(["a", FORGED])],
    ["described", described(FORGED)],
    ["described as a symbol", described(Symbol(FORGED))],
    ["shown", shown(FORGED)],
    ["member", member("payload", FORGED)],
  ])("has nothing invisible left: %s", (_, text) => {
    expect(text).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]+$/u)
    expect(text).toContain(String.raw`order-1\n2026`)
  })
})

describe("visible text", () => {
  it("is listed as it is", () => {
    expect(listed(["e1", "bestellung-ä 7", undefined, 7])).toBe("e1, bestellung-ä 7, undefined, 7")
  })

  it("is quoted", () => {
    expect(quoted('a "b"')).toBe(String.raw`"a \"b\""`)
    expect(shown(`it's "b"`)).toBe(String.raw`'it\'s "b"'`)
  })

  it("is cut where it is long", () => {
    expect(described("x".repeat(101))).toBe(`"${"x".repeat(100)}..."`)
  })
})

describe("what holds other values", () => {
  it.each<[unknown, string]>([
    [{ card: "4111" }, "an object"],
    [["4111"], "an object"],
    [() => "4111", "a function"],
    [new Date(0), "a Date"],
    [new Date(Number.NaN), "an invalid Date"],
    [null, "null"],
    [5n, "5"],
  ])("is told by its kind alone: case %#", (value, text) => {
    expect(described(value)).toBe(text)
    expect(shown(value)).toBe(text)
  })
})

it("tells a revoked proxy, of which nothing can be asked, to be an object", () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  expect(described(proxy)).toBe("an object")
})

it("names members as code does", () => {
  expect(member("payload", "total-1")).toBe("payload.total-1")
  expect(member("payload", "a.b")).toBe('payload["a.b"]')
})
