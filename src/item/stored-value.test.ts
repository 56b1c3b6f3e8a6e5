import { DynamoDBDocumentClient, GetCommand, NumberValue, PutCommand } from "@aws-sdk/lib-dynamodb"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { clientOnWire } from "../test/wire.fixture.ts"
import { fromStored, fromStoredLeniently, toStored, UnstorableValueError } from "./stored-value.ts"

const { client, sent } = clientOnWire(({ operation }) =>
  operation === "GetItem" ? { Item: sent.at(-2)?.input.Item } : {},
)
const documentClient = DynamoDBDocumentClient.from(client, { unmarshallOptions: { wrapNumbers: true } })

/** Sends a value with the real SDK, under the strictest options there are, and reads it back as the outbox does. */
async function throughDynamoDB(value: unknown): Promise<unknown> {
  const Item = { payload: toStored(value, "payload") }
  await documentClient.send(new PutCommand({ TableName: "outbox", Item }))
  const answer = await documentClient.send(new GetCommand({ TableName: "outbox", Key: { id: "a" } }))
  return fromStored(answer.Item?.payload, "payload")
}

const refusal = (value: unknown): string => {
  try {
    toStored(value, "payload")
  } catch (error) {
    expect(error).toBeInstanceOf(UnstorableValueError)
    expect(error).toHaveProperty("name", "UnstorableValueError")
    return (error as Error).message
  }
  throw new Error("The value was accepted.")
}

const selfJson = {
  a: 1,
  list: [2],
  toJSON() {
    return this
  },
}

const nested = (levels: number, wrap: (inner: unknown) => unknown): unknown =>
  levels === 0 ? "core" : wrap(nested(levels - 1, wrap))

describe("what comes back as it went in", () => {
  it("is every value of JSON that DynamoDB can hold", async () => {
    const isStorable = (number: number) =>
      number === 0 || (Math.abs(number) >= 1e-130 && Math.abs(number) <= Number.MAX_SAFE_INTEGER)
    const text = fc.string({ unit: "binary" })
    const key = fc.string({ unit: "binary", minLength: 1 }).filter((name) => name !== "__proto__")
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof(
        { maxDepth: 4 },
        fc.constant(null),
        fc.boolean(),
        text,
        fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => isStorable(n) && !Object.is(n, -0)),
        fc.maxSafeInteger(),
        fc.array(tie("json"), { maxLength: 4 }),
        fc.dictionary(fc.oneof(key, fc.constantFrom("constructor", "toString", "value", "N")), tie("json"), {
          maxKeys: 4,
          noNullPrototype: true,
        }),
      ),
    }))
    const survives = fc.asyncProperty(json, async (value) => {
      expect(await throughDynamoDB(value)).toEqual(value)
    })
    await fc.assert(survives, { numRuns: 50 })
  }, 30_000)

  it.each<[string, unknown]>([
    ["null", null],
    ["an empty string", ""],
    ["an empty list and an empty map", { list: [], map: {} }],
    ["a BigInt of 38 digits", 12345678901234567890123456789012345678n],
    ["a negative BigInt", -12345678901234567890n],
    ["a BigInt with zeros behind its digits", 10n ** 125n],
    ["a BigInt with zeros behind all the digits that DynamoDB keeps", (10n ** 37n + 1n) * 10n ** 50n],
    ["a toJSON that is no function", { toJSON: 5 }],
    ["binary", new Uint8Array([0, 1, 255])],
    ["empty binary", new Uint8Array()],
    ["a set of strings", new Set(["a", "b"])],
    ["a set of numbers", new Set([1, 2.5])],
    ["a set of BigInts", new Set([12345678901234567890n])],
    ["a set of binary values", new Set([new Uint8Array([1]), new Uint8Array([2])])],
    ["the largest exact number", 2 ** 53 - 1],
    ["the smallest exact number", -(2 ** 53 - 1)],
    ["the number closest to 0", 1e-130],
    ["31 levels of maps", nested(31, (inner) => ({ inner }))],
    ["31 levels of lists", nested(31, (inner) => [inner])],
    ["characters outside the basic plane", "👩‍🚀"],
    ["keys that mean something to JavaScript", { constructor: "Lotus", hasOwnProperty: 1, valueOf: "x" }],
    ["keys that mean something to the SDK", { value: "7", N: "1", toAttributeValue: "no" }],
    ["the same object twice, side by side", (() => [{ a: 1 }, { a: 1 }])()],
  ])("is %s", async (_, value) => {
    expect(await throughDynamoDB(value)).toEqual(value)
  })

  it("is an object that stands in two places", async () => {
    const shared = { street: "Main" }
    expect(await throughDynamoDB({ from: shared, to: shared })).toEqual({ from: shared, to: shared })
  })
})

describe("what becomes something else", () => {
  const date = new Date("2024-05-06T07:08:09.010Z")
  class Money {
    currency = "EUR"
    constructor(readonly amount: number) {}
    get text() {
      return `${this.amount} ${this.currency}`
    }
  }

  it.each<[string, unknown, unknown]>([
    ["a Date, its ISO string", { at: date }, { at: "2024-05-06T07:08:09.010Z" }],
    ["an instance of a class, a plain map of its own fields", new Money(7), { currency: "EUR", amount: 7 }],
    ["an object without prototype, a plain map", Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
    ["an object with toJSON, what that says", new URL("https://example.org/a"), "https://example.org/a"],
    ["what toJSON says is converted too", { toJSON: () => ({ at: date }) }, { at: date.toISOString() }],
    ["a Map, a plain map", new Map([["a", new Map([["b", 1]])]]), { a: { b: 1 } }],
    ["undefined in a map, nothing", { a: undefined, b: 1 }, { b: 1 }],
    ["undefined in a list, nothing", [undefined, 1, undefined], [1]],
    ["undefined in a Map, nothing", new Map([["a", undefined]]), {}],
    ["undefined in a set, nothing", new Set(["a", undefined]), new Set(["a"])],
    ["a toJSON that says undefined, nothing", { a: { toJSON: () => undefined } }, {}],
    ["boxed values, what is in them", [Object("a"), Object(1), Object(true), Object(5n)], ["a", 1, true, 5]],
    ["a Buffer, its bytes", Buffer.from("ab"), new Uint8Array([97, 98])],
    ["an ArrayBuffer, its bytes", new Uint8Array([1, 2]).buffer, new Uint8Array([1, 2])],
    ["a part of a buffer, that part", new Uint8Array([1, 2, 3]).subarray(1, 2), new Uint8Array([2])],
    ["a DataView, its bytes", new DataView(new Uint8Array([1, 2, 3]).buffer, 1), new Uint8Array([2, 3])],
    ["shared memory, its bytes", new SharedArrayBuffer(2), new Uint8Array(2)],
    ["a set of Dates, a set of ISO strings", new Set([date]), new Set([date.toISOString()])],
    [
      "equal bytes in a set, one of them",
      new Set([Buffer.from("a"), Buffer.from("a")]),
      new Set([new Uint8Array([97])]),
    ],
    ["the same number twice in a set, one of them", new Set([1, 1n, 2]), new Set([1, 2])],
    ["a set of numbers and BigInts, the same set", new Set([1.5, 2n ** 60n]), new Set([2n ** 60n, 1.5])],
    ["a BigInt that a number holds exactly, that number", 5n, 5],
    ["the SDK's NumberValue, its number", NumberValue.from("12.5"), 12.5],
    ["a large NumberValue, a BigInt", NumberValue.from("12345678901234567890"), 12345678901234567890n],
    ["a set of NumberValues, a set of numbers", new Set([NumberValue.from("1")]), new Set([1])],
    ["an object with methods, its data", { a: 1, run() {}, type: class {}, kind: Symbol("k") }, { a: 1 }],
    ["a list with functions and symbols, the rest", [1, () => {}, Symbol("s"), 2], [1, 2]],
    [
      "a Map with functions, the rest",
      new Map<string, unknown>([
        ["a", 1],
        ["run", () => {}],
      ]),
      { a: 1 },
    ],
    ["a set with functions, the rest", new Set(["a", () => {}]), new Set(["a"])],
    ["an object whose toJSON returns itself, its members", selfJson, { a: 1, list: [2] }],
    [
      "a list whose toJSON returns itself, its elements",
      Object.assign([1, 2], {
        toJSON() {
          return this
        },
      }),
      [1, 2],
    ],
    [
      "a toJSON that makes its like, converted once",
      { toJSON: () => ({ b: 1, toJSON: () => "never" }) },
      { b: 1 },
    ],
    ["a toJSON that returns a Date, its ISO string", { toJSON: () => date }, date.toISOString()],
    [
      "the NumberValue of a long decimal that JavaScript reads exactly",
      NumberValue.from("-001.2500e+2"),
      -125,
    ],
    [
      "a getter on a plain object, its value",
      {
        get a() {
          return 1
        },
      },
      { a: 1 },
    ],
  ])("is %s", async (_, value, expected) => {
    expect(await throughDynamoDB(value)).toEqual(expected)
  })

  it.each([[undefined], [() => {}], [class {}], [Symbol("s")]])(
    "is undefined for %o alone, as in JSON",
    (value) => {
      expect(toStored(value, "payload")).toBeUndefined()
    },
  )

  it("is never the caller's own: changing the input later changes nothing", () => {
    const bytes = new Uint8Array([1])
    const input = { list: [1], map: { a: 1 }, bytes, set: new Set(["a"]) }
    const stored = toStored(input, "payload")
    input.list.push(2)
    input.map.a = 2
    bytes[0] = 2
    input.set.add("b")
    expect(stored).toEqual({ list: [1], map: { a: 1 }, bytes: new Uint8Array([1]), set: new Set(["a"]) })
  })
})

const thrower = () => {
  throw new RangeError("secret of the payload")
}
const cyclicJson = () => {
  const value: Record<string, unknown> = { toJSON: () => value }
  value.next = value
  return value
}

describe("what is refused, with its path and the reason", () => {
  const circularMap: Record<string, unknown> = {}
  circularMap.deep = { list: [circularMap] }
  const circularList: unknown[] = []
  circularList.push(circularList)
  const { proxy: revoked, revoke } = Proxy.revocable({}, {})
  revoke()

  it.each<[string, unknown, string]>([
    ["NaN", { total: Number.NaN }, "payload.total is NaN; DynamoDB holds only finite numbers"],
    ["Infinity", [Number.POSITIVE_INFINITY], "payload[0] is Infinity; DynamoDB holds only finite numbers"],
    ["-Infinity", { a: [0, Number.NEGATIVE_INFINITY] }, "payload.a[1] is -Infinity; "],
    [
      "2^53",
      { n: 2 ** 53 },
      "payload.n is 9007199254740992, beyond what a number holds exactly; use a BigInt",
    ],
    ["-2^53", -(2 ** 53), "payload is -9007199254740992, beyond what a number holds exactly"],
    ["a number too close to 0", 9.9e-131, "payload is 9.9e-131, closer to 0 than DynamoDB holds"],
    ["a negative number too close to 0", -5e-324, "payload is -5e-324, closer to 0 than DynamoDB holds"],
    [
      "a BigInt of 39 digits",
      { n: 10n ** 38n + 1n },
      "payload.n is a BigInt of 39 digits; DynamoDB holds 38",
    ],
    ["a BigInt beyond 126 digits", -(10n ** 126n), "payload is a BigInt of 127 digits; "],
    [
      "a NumberValue that JavaScript could not read back",
      NumberValue.from("1e300"),
      "payload is 1e300, which ",
    ],
    [
      "a NumberValue with more decimals than JavaScript holds",
      { n: NumberValue.from("0.12345678901234567891") },
      "payload.n is 0.12345678901234567891, which JavaScript could not read back exactly",
    ],
    [
      "a NumberValue that is no number",
      NumberValue.from("many\nlines"),
      "payload is many\\nlines, which JavaScript",
    ],
    [
      "a line break in a key",
      { "a\nb": { "\u2028": Number.NaN } },
      String.raw`payload["a\nb"]["\u2028"] is NaN`,
    ],
    [
      "a toJSON that throws",
      { a: [{ toJSON: thrower }] },
      "payload.a[0] can't be read: its getter, toJSON or proxy threw",
    ],
    [
      "a getter that throws",
      { a: Object.defineProperty({}, "b", { get: thrower, enumerable: true }) },
      "payload.a.b can't be read",
    ],
    [
      "a getter of an array that throws",
      { a: Object.defineProperty([], "0", { get: thrower }) },
      "payload.a can't be read",
    ],
    [
      "an iterator that throws",
      { a: Object.assign(new Set(), { [Symbol.iterator]: thrower }) },
      "payload.a can't be read",
    ],
    [
      "a toJSON that is a getter that throws",
      { a: Object.defineProperty({}, "toJSON", { get: thrower }) },
      "payload.a can't be read",
    ],
    ["a revoked proxy", { a: revoked }, "payload.a can't be read"],
    [
      "what a toJSON contains that can't be stored",
      { a: { toJSON: () => ({ b: Number.NaN }) } },
      "payload.a.b is NaN",
    ],
    ["a cycle behind a toJSON", cyclicJson(), "payload.next refers back to an object that contains it"],
    ["half of a surrogate pair", { name: "a\uD800" }, "payload.name is not well-formed Unicode: "],
    [
      "half of a surrogate pair in a key",
      { a: { "\uDC00": 1 } },
      "payload.a has a key that is not well-formed",
    ],
    ["an invalid Date", { at: new Date(Number.NaN) }, "payload.at is an invalid Date"],
    ["a Promise", { user: Promise.resolve(1) }, "payload.user is a Promise; await it before publishing"],
    ["a Blob", { file: new Blob(["a"]) }, "payload.file is a Blob; store its bytes as a Uint8Array"],
    ["an empty set", { tags: new Set() }, "payload.tags is an empty set, which DynamoDB can't hold"],
    ["a set of undefined alone", new Set([undefined]), "payload is an empty set"],
    ["a mixed set", { tags: new Set(["a", 1]) }, "payload.tags is a set of something else than only strings"],
    ["a set of maps", new Set([{ a: 1 }]), "payload is a set of something else"],
    ["a set of null", new Set([null]), "payload is a set of something else"],
    ["NaN in a set", { s: new Set([Number.NaN]) }, "payload.s[in set] is NaN"],
    [
      "a cycle through maps and lists",
      circularMap,
      "payload.deep.list[0] refers back to an object that contains it",
    ],
    ["a cycle of a list", circularList, "payload[0] refers back to an object that contains it"],
    [
      "32 levels of maps",
      nested(32, (a) => ({ a })),
      `payload${".a".repeat(31)} is nested deeper than DynamoDB's 31`,
    ],
    [
      "32 levels of lists",
      nested(32, (a) => [a]),
      `payload${"[0]".repeat(31)} is nested deeper than DynamoDB's 31`,
    ],
    ["an empty key", { a: { "": 1 } }, "payload.a has an empty key"],
    [
      "a Map with a key that is no string",
      { m: new Map([[1, "a"]]) },
      "payload.m is a Map with a key that is a number",
    ],
    [
      "a key that the SDK drops",
      JSON.parse('{"a":{"__proto__":{"b":1}}}'),
      'payload.a has the key "__proto__"',
    ],
  ])("is %s", (_, value, message) => {
    expect(refusal(value)).toContain(message)
  })

  it("keeps what the caller's code threw as the cause, and its text out of the message", () => {
    const read = () => toStored({ a: { toJSON: thrower } }, "payload")
    expect(read).toThrow(expect.objectContaining({ cause: expect.any(RangeError) }))
    expect(read).not.toThrow("secret")
  })

  it("is told with its path as a property too", () => {
    expect(() => toStored({ a: [Number.NaN] }, "metadata")).toThrow(
      expect.objectContaining({ path: "metadata.a[0]" }),
    )
  })
})

describe("reading numbers", () => {
  it("takes plain numbers as they are, so mocked clients need not wrap them", () => {
    const value = { a: 1, list: [2n, { b: 2.5 }], set: new Set([3]), bytes: new Uint8Array([4]), none: null }
    expect(fromStored(structuredClone(value), "payload")).toEqual(value)
  })

  it("reads one that is not exact as a BigInt, wherever it stands", () => {
    const large = NumberValue.from("9007199254740993")
    expect(fromStored({ list: [large], set: new Set([large]) }, "payload")).toEqual({
      list: [9007199254740993n],
      set: new Set([9007199254740993n]),
    })
  })

  it.each(["1e300", "-1e300", "123456789012345678.5", "1e126"])(
    "refuses %s, which JavaScript can't hold, naming it",
    (text) => {
      expect(() => fromStored({ deep: [NumberValue.from(text)] }, "payload")).toThrow(
        new UnstorableValueError("payload", `holds the number ${text}, which JavaScript can't hold`),
      )
    },
  )

  it("shows a number that JavaScript can't hold as its text, where people look at it", () => {
    const wrapped = { n: NumberValue.from("1e300"), m: NumberValue.from("7"), s: "text" }
    expect(fromStoredLeniently(wrapped)).toEqual({ n: "1e300", m: 7, s: "text" })
  })
})
