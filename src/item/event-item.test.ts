import { NumberValue } from "@aws-sdk/lib-dynamodb"
import { type BusEvent, ValidationError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { type Item, readActiveItem, readItem, toFailedEvent, toItem } from "./event-item.ts"
import { numberOf } from "./stored-value.ts"

const occurredAt = new Date("2024-05-06T07:08:09.010Z")
const event: BusEvent = { id: "e1", type: "order.placed", payload: { total: 5 }, occurredAt }

const item = {
  id: "e1",
  type: "order.placed",
  payload: { total: 5 },
  occurredAt: "2024-05-06T07:08:09.010Z",
  status: "created",
  retryCount: 0,
  gsiSortKey: occurredAt.getTime(),
}

describe("an event as an item", () => {
  it("has the attributes that the original writes", () => {
    expect(toItem(event)).toEqual(item)
  })

  it("without a payload but with keys that no event has causes one warning per type, and is stored", () => {
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
    const slip = { id: "e1", type: "slip", data: { total: 5 }, occurredAt } as unknown as BusEvent
    for (let i = 0; i < 2; i++) expect(toItem(slip)).toMatchObject({ id: "e1", hasPayload: false })
    toItem({ id: "e1", type: "no payload", occurredAt } as BusEvent)
    toItem({ ...event, data: 1 } as BusEvent)
    expect(warning.mock.calls).toEqual([
      [
        expect.stringMatching(/^Events of type 'slip' are published without a payload, but with .*data/),
        { type: "OutboxWarning", code: "OUTBOX_UNKNOWN_EVENT_KEY" },
      ],
    ])
    warning.mockRestore()
  })

  it("keeps metadata, with its Dates as ISO strings", () => {
    expect(toItem({ ...event, metadata: { traceId: "t1", at: occurredAt } })).toEqual({
      ...item,
      metadata: { traceId: "t1", at: "2024-05-06T07:08:09.010Z" },
    })
  })

  it.each([undefined, null])("leaves metadata out that is %s", (metadata) => {
    expect(toItem({ ...event, metadata } as unknown as BusEvent)).toEqual(item)
  })

  it("stores a payload of null", () => {
    expect(toItem({ ...event, payload: null })).toEqual({ ...item, payload: null })
  })

  it.each([[undefined], [() => {}]])(
    "leaves a payload of %o out, says so, and reads it as undefined",
    (payload) => {
      const { payload: _, ...rest } = item
      const stored = toItem({ ...event, payload })
      expect(stored).toStrictEqual({ ...rest, hasPayload: false })
      for (const read of [readItem, readActiveItem]) {
        expect(read(stored)).toStrictEqual({ event: { ...event, payload: undefined }, retryCount: 0 })
      }
    },
  )

  it.each([
    ["a Map", new Map([["traceId", "t1"]])],
    ["an object with toJSON", { toJSON: () => ({ traceId: "t1" }) }],
    [
      "a class instance",
      new (class {
        traceId = "t1"
      })(),
    ],
  ])("keeps metadata that is %s, as a plain object", (_, metadata) => {
    const stored = toItem({ ...event, metadata } as unknown as BusEvent)
    expect(stored.metadata).toEqual({ traceId: "t1" })
    expect(readItem(stored)).toMatchObject({ event: { metadata: { traceId: "t1" } } })
  })

  it("is due when the event occurred, also in the future and before 1970", () => {
    expect(toItem({ ...event, occurredAt: new Date(9_999_999_999_999) }).gsiSortKey).toBe(9_999_999_999_999)
    expect(toItem({ ...event, occurredAt: new Date(-5) }).gsiSortKey).toBe(-5)
  })

  it("takes the longest id that a key may have", () => {
    expect(toItem({ ...event, id: "ä".repeat(1024) }).id).toHaveLength(1024)
  })
})

const throwing = (key: string) =>
  Object.defineProperty({ ...event }, key, {
    get: () => {
      throw new Error("boom")
    },
  })

describe("an event that can't be stored is refused, naming the event and the path", () => {
  const max = 398 * 1024
  it.each<[string, object | null | undefined, string]>([
    ["no event", undefined, "Event undefined can't be stored: id is undefined; allowed: a non-empty string."],
    ["null", null, "Event undefined can't be stored: id is undefined"],
    ["no id", { ...event, id: undefined }, "Event undefined can't be stored: id is undefined"],
    ["an empty id", { ...event, id: "" }, "Event '' can't be stored: id is ''; allowed: a non-empty string."],
    ["a number as id", { ...event, id: 7 }, "Event 7 can't be stored: id is 7"],
    [
      "an id that is too long",
      { ...event, id: `ä${"x".repeat(2047)}` },
      "id is longer than DynamoDB's 2048 bytes",
    ],
    ["half of a surrogate pair in an id", { ...event, id: "\uD800" }, "id is not well-formed Unicode"],
    ["half of a surrogate pair in a type", { ...event, type: "\uD800" }, "type is not well-formed Unicode"],
    [
      "no type",
      { ...event, type: undefined },
      "Event 'e1' can't be stored: type is undefined; allowed: a non-empty",
    ],
    ["an empty type", { ...event, type: "" }, "Event 'e1' can't be stored: type is ''"],
    ["a string as time", { ...event, occurredAt: "2024" }, "occurredAt is '2024'; allowed: a Date."],
    ["an invalid Date", { ...event, occurredAt: new Date(Number.NaN) }, "occurredAt is an invalid Date."],
    [
      "NaN deep in a payload",
      { ...event, payload: { lines: [{ price: Number.NaN }] } },
      "payload.lines[0].price is NaN",
    ],
    ["NaN in metadata", { ...event, metadata: { n: Number.NaN } }, "metadata.n is NaN"],
    [
      "a string as metadata",
      { ...event, metadata: "secret" },
      "metadata is a string; allowed: an object with string keys.",
    ],
    [
      "a list as metadata",
      { ...event, metadata: [1] },
      "metadata is an object; allowed: an object with string keys.",
    ],
    ["a set as metadata", { ...event, metadata: new Set(["a"]) }, "metadata is an object; allowed"],
    ["a Date as metadata", { ...event, metadata: occurredAt }, "metadata is a Date; allowed"],
    ["bytes as metadata", { ...event, metadata: Buffer.from("a") }, "metadata is an object; allowed"],
    ["an object as type", { ...event, type: { card: "4111" } }, "type is an object; allowed"],
    [
      "a line break in an id",
      { ...event, id: "a\nb\u2028", type: "" },
      String.raw`Event 'a\nb\u2028' can't be`,
    ],
    [
      "a long id with line breaks",
      { ...event, id: `${"a\n".repeat(60)}`, type: "" },
      String.raw`Event 'a\na\n`,
    ],
    ["a getter that throws", throwing("payload"), "Event 'e1' can't be stored: payload can't be read"],
    [
      "a payload that is a promise",
      { ...event, payload: Promise.resolve() },
      "payload is a Promise; await it",
    ],
    [
      "too much",
      { ...event, payload: "x".repeat(max) },
      `payload is too large: the item would have ${max + 104} bytes; allowed: ${max}.`,
    ],
  ])("%s", (_, value, message) => {
    const store = () => toItem(value as BusEvent)
    expect(store).toThrow(ValidationError)
    expect(store).toThrow(message)
    expect(store).toThrow(expect.objectContaining({ context: expect.objectContaining({ event: value }) }))
  })

  it.each([
    ["id", "Event undefined can't be stored: id can't be read"],
    ["type", "Event 'e1' can't be stored: type can't be read"],
  ])("a getter of %s that throws", (key, message) => {
    const store = () => toItem(throwing(key))
    expect(store).toThrow(ValidationError)
    expect(store).toThrow(message)
  })

  it("takes what just fits", () => {
    const room = max - 104
    expect(() => toItem({ ...event, payload: "x".repeat(room) })).not.toThrow()
    expect(() => toItem({ ...event, payload: "x".repeat(room + 1) })).toThrow("is too large")
  })

  it("has the error of the caller's own code at the end of its causes", () => {
    const thrown = new Error("boom")
    const payload = {
      toJSON() {
        throw thrown
      },
    }
    expect(() => toItem({ ...event, payload })).toThrow(
      expect.objectContaining({
        message:
          "Event 'e1' can't be stored: payload can't be read: its getter, toJSON or proxy threw an error.",
        name: "UnstorableEventError",
        eventId: "e1",
        path: "payload",
        cause: expect.objectContaining({ cause: thrown }),
      }),
    )
  })
})

describe("an item as an event", () => {
  it("reads what was published", () => {
    expect(readItem({ ...item })).toEqual({ event, retryCount: 0 })
  })

  it("reads wrapped numbers, metadata and what other workers added", () => {
    const stored = {
      ...item,
      payload: { total: NumberValue.from("5") },
      metadata: { n: NumberValue.from("12345678901234567890") },
      retryCount: NumberValue.from("3"),
      gsiSortKey: NumberValue.from("1"),
      claimToken: "t",
      lastError: "x",
    }
    expect(readItem(stored)).toEqual({
      event: { ...event, metadata: { n: 12345678901234567890n } },
      retryCount: 3,
    })
  })

  it("reads an absent retry count as 0 and an absent payload as undefined", () => {
    const { retryCount, payload, ...rest } = item
    expect(readItem(rest)).toEqual({ event: { ...event, payload: undefined }, retryCount: 0 })
  })

  it.each([["text"], [[1]], [null], [7]])("leaves metadata out that is %o", (metadata) => {
    expect(readItem({ ...item, metadata })).toEqual({ event, retryCount: 0 })
  })

  it.each<[string, Item, string]>([
    ["no type", { ...item, type: undefined }, "type is undefined"],
    ["an empty type", { ...item, type: "" }, "type is ''"],
    ["no time", { ...item, occurredAt: undefined }, "occurredAt is undefined"],
    ["a time that is none", { ...item, occurredAt: "yesterday" }, "occurredAt is 'yesterday'"],
    ["a number as time", { ...item, occurredAt: NumberValue.from("5") }, "occurredAt is 5"],
    [
      "a number JavaScript can't hold",
      { ...item, payload: [NumberValue.from("1e300")] },
      "payload holds the number 1e300",
    ],
    [
      "such a number in metadata",
      { ...item, metadata: { n: NumberValue.from("1e300") } },
      "metadata holds the number",
    ],
    ["a negative retry count", { ...item, retryCount: -1 }, "retryCount is -1"],
    ["a fraction as retry count", { ...item, retryCount: NumberValue.from("1.5") }, "retryCount is 1.5"],
    ["text as retry count", { ...item, retryCount: "2" }, "retryCount is '2'"],
    [
      "an immense retry count",
      { ...item, retryCount: NumberValue.from("1e300") },
      "retryCount holds the number 1e300",
    ],
  ])("can't read %s, and says why", (_, stored, reason) => {
    const read = readItem(stored)
    if (!("unreadable" in read)) throw new Error("It was read.")
    expect(read.unreadable).toBeInstanceOf(ValidationError)
    expect(read.unreadable.message).toContain(`Item 'e1' can't be read as an event: ${reason}`)
    expect(read.unreadable.context).toMatchObject({ event: { id: "e1" } })
  })

  it("takes a payload for granted once an item has been active", () => {
    const { payload, ...damaged } = item
    expect(readActiveItem({ ...item })).toEqual({ event, retryCount: 0 })
    expect(readActiveItem(damaged)).toMatchObject({
      unreadable: { message: "Item 'e1' can't be read as an event: payload is missing." },
    })
  })
})

describe("a failed event, for an operator", () => {
  it("has error, retry count and the time of the last attempt", () => {
    const stored = {
      ...item,
      status: "failed",
      retryCount: NumberValue.from("5"),
      startedOn: NumberValue.from("1714979289999"),
      lastError: "boom",
      metadata: { n: NumberValue.from("1") },
    }
    expect(toFailedEvent(stored)).toEqual({
      ...event,
      metadata: { n: 1 },
      error: "boom",
      retryCount: 5,
      lastAttemptAt: new Date(1714979289999),
    })
  })

  it("shows as much as can be read of a damaged one", () => {
    expect(
      toFailedEvent({ id: "e1", payload: NumberValue.from("1e300"), gsiSortKey: 5, retryCount: -3 }),
    ).toEqual({
      id: "e1",
      type: "",
      payload: "1e300",
      occurredAt: new Date(5),
      retryCount: 0,
    })
    expect(
      toFailedEvent({ id: "e1", occurredAt: 7, metadata: ["no map"], lastError: 7, gsiSortKey: 5 }),
    ).toEqual({
      id: "e1",
      type: "",
      payload: undefined,
      occurredAt: new Date(5),
      retryCount: 0,
    })
    expect(toFailedEvent({ id: NumberValue.from("7") })).toEqual({
      id: "7",
      type: "",
      payload: undefined,
      occurredAt: new Date(0),
      retryCount: 0,
    })
  })
})

describe("numberOf", () => {
  it.each([
    [5, 5],
    [NumberValue.from("5.5"), 5.5],
    [NumberValue.from("1e300"), undefined],
    [NumberValue.from("12345678901234567890"), undefined],
    ["5", undefined],
    [undefined, undefined],
    [Number.NaN, undefined],
  ])("reads %o as %o", (value, number) => {
    expect(numberOf(value)).toBe(number)
  })
})
