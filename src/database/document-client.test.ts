import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, GetCommand, NumberValue, PutCommand } from "@aws-sdk/lib-dynamodb"
import { ConfigurationError } from "outbox-event-bus"
import { afterEach, describe, expect, it, vi } from "vitest"
import { clientOnWire } from "../test/wire.fixture.ts"
import { documentClientFor } from "./document-client.ts"

afterEach(() => {
  vi.restoreAllMocks()
})

const Item = { id: { S: "e1" }, immense: { N: "1e300" }, n: { N: "7" } }
const get = new GetCommand({ TableName: "outbox", Key: { id: "e1" } })

describe("the outbox's own document client", () => {
  it("reads a number that JavaScript can't hold without making the item unreadable", async () => {
    const { client } = clientOnWire(() => ({ Item }))
    const answer = await documentClientFor(client).send(get)
    expect(answer.Item).toEqual({ id: "e1", immense: NumberValue.from("1e300"), n: NumberValue.from("7") })
  })

  it("drops undefined values that an event can't have, but a condition might", async () => {
    const { client, sent } = clientOnWire()
    await documentClientFor(client).send(
      new PutCommand({ TableName: "outbox", Item: { id: "e1", map: { a: undefined } } }),
    )
    expect(sent[0]?.input.Item).toEqual({ id: { S: "e1" }, map: { M: {} } })
  })
})

describe("the user's own document client on the same client", () => {
  const numbersOf = async (documentClient: DynamoDBDocumentClient) =>
    (await documentClient.send(new GetCommand({ TableName: "orders", Key: { id: "e1" } }))).Item?.n

  const small = () => clientOnWire(() => ({ Item: { id: { S: "e1" }, n: { N: "7" } } }))

  it("made before the outbox keeps reading plain numbers", async () => {
    const { client } = small()
    const usersOwn = DynamoDBDocumentClient.from(client)
    const own = documentClientFor(client)
    expect(await numbersOf(usersOwn)).toBe(7)
    expect(await numbersOf(own)).toEqual(NumberValue.from("7"))
  })

  it("made before the outbox writes and reads as it did: every option is as it was", async () => {
    const { client, sent } = clientOnWire(() => ({ Item: { id: { S: "e1" }, n: { N: "7" } } }))
    const options = {
      marshallOptions: { convertClassInstanceToMap: true, convertEmptyValues: true },
      unmarshallOptions: { wrapNumbers: true },
    }
    const usersOwn = DynamoDBDocumentClient.from(client, options)
    const own = documentClientFor(client)
    expect(client.config).toHaveProperty("translateConfig", options)
    class Money {
      text = ""
    }
    await usersOwn.send(new PutCommand({ TableName: "orders", Item: { id: "e1", money: new Money() } }))
    expect(sent[0]?.input.Item).toEqual({ id: { S: "e1" }, money: { M: { text: { NULL: true } } } })
    expect(await numbersOf(usersOwn)).toEqual(NumberValue.from("7"))
    await own.send(new PutCommand({ TableName: "outbox", Item: { id: "e1", text: "" } }))
    expect(sent.at(-1)?.input.Item).toEqual({ id: { S: "e1" }, text: { S: "" } })
  })

  it("is made of a client on which the outbox has left nothing", () => {
    const { client } = clientOnWire()
    const before = Object.keys(client.config)
    documentClientFor(client)
    expect(Object.keys(client.config)).toEqual(before)
  })

  it.each([
    ["plain numbers", {}, 7],
    ["wrapped numbers", { unmarshallOptions: { wrapNumbers: true } }, NumberValue.from("7")],
  ])("made after the outbox reads %s, and the outbox its own way", async (_, options, expected) => {
    const { client } = small()
    const own = documentClientFor(client)
    const usersOwn = DynamoDBDocumentClient.from(client, options)
    expect(await numbersOf(usersOwn)).toEqual(expected)
    expect(await numbersOf(own)).toEqual(NumberValue.from("7"))
  })

  it("made after the outbox keeps how it writes, too", async () => {
    const { client, sent } = clientOnWire()
    documentClientFor(client)
    const usersOwn = DynamoDBDocumentClient.from(client, { marshallOptions: { convertEmptyValues: true } })
    await usersOwn.send(new PutCommand({ TableName: "orders", Item: { id: "e1", text: "" } }))
    expect(sent[0]?.input.Item).toEqual({ id: { S: "e1" }, text: { NULL: true } })
  })

  it("is never touched by a second outbox either", async () => {
    const { client } = small()
    const [first, second] = [documentClientFor(client), documentClientFor(client)]
    const usersOwn = DynamoDBDocumentClient.from(client)
    expect(await numbersOf(usersOwn)).toBe(7)
    for (const own of [first, second]) expect(await numbersOf(own)).toEqual(NumberValue.from("7"))
  })
})

describe("a client of a test", () => {
  it("that is a bare { send } is used as it is", () => {
    const bare = { send: vi.fn() } as unknown as DynamoDBClient
    expect(documentClientFor(bare)).toBe(bare)
  })

  it("is handed to DynamoDBDocumentClient.from, and what that returns is used", () => {
    const made = { send: vi.fn() } as unknown as DynamoDBDocumentClient
    const from = vi.spyOn(DynamoDBDocumentClient, "from").mockReturnValue(made)
    const bare = {} as DynamoDBClient
    expect(documentClientFor(bare)).toBe(made)
    expect(from).toHaveBeenCalledExactlyOnceWith(bare, expect.anything())
  })

  it("need not be made at all: the field is replaced later", () => {
    vi.spyOn(DynamoDBDocumentClient, "from").mockReturnValue(undefined as unknown as DynamoDBDocumentClient)
    expect(documentClientFor({ send: vi.fn() } as unknown as DynamoDBClient)).toBeUndefined()
  })
})

describe("what can't send", () => {
  it.each([[{}], [{ send: 7 }], [[]]])("is refused: %o", (client) => {
    const make = () => documentClientFor(client as unknown as DynamoDBClient)
    expect(make).toThrow(ConfigurationError)
    expect(make).toThrow("Invalid option client: an object. Allowed: a DynamoDBClient.")
  })

  it("passes on what goes wrong with a real client", () => {
    const { client } = clientOnWire()
    const broken = Object.assign(client, { config: undefined }) as unknown as DynamoDBClient
    expect(() => documentClientFor(broken)).toThrow(TypeError)
  })
})
