import { describe, expect, it } from "vitest"
import { errorText } from "./error-text.ts"

const refused = (address: string) =>
  Object.assign(new Error(`connect ECONNREFUSED ${address}`), { code: "ECONNREFUSED" })
const cyclic = Object.assign(new Error(""), { cause: {} })
cyclic.cause = cyclic
class Hostile extends Error {
  override get message(): string {
    throw new Error("not to be read")
  }
}
const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

describe("a message that says something", () => {
  it.each<[unknown, string]>([
    [new Error("boom"), "boom"],
    [new Error(" card declined\n", { cause: new Error("inner") }), " card declined\n"],
    [new Error("payment failed", { cause: new Error("inner") }), "payment failed"],
    [new AggregateError([refused("::1:1")], "no carrier"), "no carrier"],
    ["text", "text"],
    [{ message: "text" }, "text"],
    [{ toString: () => "text" }, "text"],
    [42, "42"],
    [5n, "5"],
    [Symbol("s"), "Symbol(s)"],
    [undefined, "undefined"],
    [null, "null"],
  ])("is stored as it is: %o", (thrown, text) => {
    expect(errorText(thrown)).toBe(text)
  })
})

describe("where a message says nothing", () => {
  it.each<[string, unknown, string]>([
    [
      "an AggregateError of Node",
      Object.assign(new AggregateError([refused("::1:1"), refused("127.0.0.1:1")]), { code: "ECONNREFUSED" }),
      "connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1",
    ],
    ["a code alone", Object.assign(new Error(""), { code: "ECONNRESET" }), "ECONNRESET"],
    ["a blank message", Object.assign(new Error(" \n"), { code: "ECONNRESET" }), "ECONNRESET"],
    ["a name alone", new TypeError(""), "TypeError without a message"],
    ["an empty string", "", "an empty text was thrown"],
    ["an object", { status: 500, reason: "busy" }, "{ status: 500, reason: 'busy' }"],
    [
      "an object without prototype",
      Object.assign(Object.create(null), { a: 1 }),
      "[Object: null prototype] { a: 1 }",
    ],
    ["an empty object", {}, "{}"],
    ["a message that is an object", Object.assign(new Error(), { message: { a: 1 } }), "{ a: 1 }"],
    ["a circle of causes", cyclic, "Error without a message"],
    [
      "fetch",
      new TypeError("fetch failed", { cause: refused("127.0.0.1:1") }),
      "fetch failed: connect ECONNREFUSED 127.0.0.1:1",
    ],
    ["fetch without a cause", new TypeError("fetch failed"), "fetch failed"],
    [
      "several causes",
      new Error("Connection error.", {
        cause: new TypeError("fetch failed", { cause: new AggregateError([refused("::1:1")]) }),
      }),
      "Connection error.: connect ECONNREFUSED ::1:1",
    ],
    [
      "a cause that has a code alone",
      new Error("fetch failed", { cause: { code: "UND_ERR" } }),
      "fetch failed: { code: 'UND_ERR' }",
    ],
    ["a cause that can't be read", new Error("", { cause: revoked() }), "Error without a message"],
  ])("the innermost cause is named, or what there is: %s", (_, thrown, text) => {
    expect(errorText(thrown)).toBe(text)
  })

  it.each([
    ["a message that can't be read", new Hostile()],
    ["a revoked proxy", revoked()],
    [
      "a toString that throws",
      {
        toString: () => {
          throw new Error("no")
        },
      },
    ],
  ])("something is said of %s", (_, thrown) => {
    expect(errorText(thrown)).not.toBe("")
  })
})

describe("a long message", () => {
  it.each(["x", "ä", "€", "😀", "x😀"])("is cut at a whole character, to 1,500 bytes at most: %s", (part) => {
    const text = errorText(new Error(part.repeat(2000)))
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(1500)
    expect(Buffer.byteLength(text)).toBeGreaterThan(1490)
    expect(text).toMatch(new RegExp(`^[${part}]+…$`, "u"))
  })

  it("of exactly 1,500 bytes stays whole", () => {
    expect(errorText(new Error("x".repeat(1500)))).toBe("x".repeat(1500))
  })
})
