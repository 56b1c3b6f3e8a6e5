import { NumberValue } from "@aws-sdk/lib-dynamodb"
import { OperationalError, ValidationError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { RequestDeadline } from "../database/request-deadline.ts"
import { Requests } from "../database/requests.ts"
import type { Item } from "../item/event-item.ts"
import { listDeadLetters, retryDeadLetters } from "./dead-letters.ts"

const index = { tableName: "outbox", statusIndexName: "status-gsiSortKey-index" }
const create = () => {
  const send = vi.fn()
  return { send, requests: new Requests(() => ({ send }), new RequestDeadline(30_000), false) }
}
const failed = (id: string, more: Item = {}): Item => ({
  id,
  type: "t",
  payload: { n: NumberValue.from("1") },
  occurredAt: "2024-05-06T07:08:09.010Z",
  status: "failed",
  retryCount: NumberValue.from("5"),
  gsiSortKey: NumberValue.from("1714979289010"),
  startedOn: NumberValue.from("1714979290000"),
  lastError: "boom",
  claimToken: "t1",
  ...more,
})
const shown = (id: string) => ({
  id,
  type: "t",
  payload: { n: 1 },
  occurredAt: new Date("2024-05-06T07:08:09.010Z"),
  retryCount: 5,
  error: "boom",
  lastAttemptAt: new Date(1714979290000),
})

describe("listing dead letters", () => {
  it("shows them in the order of the index, with error, retry count and last attempt", async () => {
    const { send, requests } = create()
    send.mockResolvedValueOnce({ Items: [failed("b"), failed("a")] })
    expect(await listDeadLetters(requests, index)).toEqual([shown("b"), shown("a")])
    expect(send).toHaveBeenCalledOnce()
    expect(send.mock.lastCall?.[0].input).toMatchObject({ Limit: 100, ScanIndexForward: false })
  })

  it("shows what a mocked client answers with, though it has no status", async () => {
    const { send, requests } = create()
    const { status, ...bare } = failed("a")
    send.mockResolvedValueOnce({ Items: [bare] })
    expect(await listDeadLetters(requests, index)).toEqual([shown("a")])
  })

  it("reads pages until there are a hundred, and no more", async () => {
    const { send, requests } = create()
    const page = (count: number) => ({
      Items: Array.from({ length: count }, (_, i) => failed(`e${i}`)),
      LastEvaluatedKey: { id: "last" },
    })
    send.mockResolvedValueOnce(page(60)).mockResolvedValueOnce(page(0)).mockResolvedValueOnce(page(40))
    expect(await listDeadLetters(requests, index)).toHaveLength(100)
    expect(send.mock.calls.map(([{ input }]) => [input.Limit, input.ExclusiveStartKey])).toEqual([
      [100, undefined],
      [40, { id: "last" }],
      [40, { id: "last" }],
    ])
  })

  it("reads the items where the index holds keys only, and leaves out what is not failed any more", async () => {
    const { send, requests } = create()
    const items: Record<string, Item | undefined> = {
      a: failed("a"),
      back: failed("back", { status: "created" }),
      gone: undefined,
      b: failed("b"),
    }
    send.mockImplementation(async ({ input }) =>
      "IndexName" in input
        ? { Items: Object.keys(items).map((id) => ({ id, status: "failed", gsiSortKey: 1 })) }
        : { Item: items[input.Key.id] },
    )
    expect(await listDeadLetters(requests, index)).toEqual([shown("a"), shown("b")])
    expect(send.mock.calls.slice(1).every(([{ input }]) => input.ConsistentRead)).toBe(true)
  })

  it.each([
    ["payload", ["payload"]],
    [
      "all that the original writes",
      ["type", "payload", "occurredAt", "retryCount", "lastError", "startedOn"],
    ],
  ])("reads what an index that includes %s does not carry", async (_, included) => {
    const { send, requests } = create()
    const whole = failed("a", { metadata: { tenant: "x" } })
    const row = Object.fromEntries(
      Object.entries(whole).filter(([name]) => ["id", "status", "gsiSortKey", ...included].includes(name)),
    )
    send.mockResolvedValueOnce({ Items: [row] }).mockResolvedValueOnce({ Item: whole })
    expect(await listDeadLetters(requests, index)).toEqual([{ ...shown("a"), metadata: { tenant: "x" } }])
  })

  it("shows a mocked client's row that has the keys, too, though it answers nothing more", async () => {
    const { send, requests } = create()
    const { claimToken, ...row } = failed("a")
    send.mockResolvedValueOnce({ Items: [row] })
    expect(await listDeadLetters(requests, index)).toEqual([shown("a")])
  })

  it("shows also what can't be read as an event", async () => {
    const { send, requests } = create()
    send.mockResolvedValueOnce({ Items: [{ id: "e1", payload: null, status: "failed", gsiSortKey: 5 }] })
    expect(await listDeadLetters(requests, index)).toEqual([
      { id: "e1", type: "", payload: null, occurredAt: new Date(5), retryCount: 0 },
    ])
  })

  it("leaves out what is no event", async () => {
    const { send, requests } = create()
    const foreign = { id: "x", status: "failed", gsiSortKey: 5, payload: 1 }
    send.mockResolvedValueOnce({ Items: [foreign] }).mockResolvedValueOnce({ Item: foreign })
    expect(await listDeadLetters(requests, index)).toEqual([])
    send.mockResolvedValueOnce({ Items: [{ ...foreign, claimToken: "theirs" }] })
    expect(await listDeadLetters(requests, index)).toEqual([])
  })

  it("is empty where a mocked client answers nothing", async () => {
    expect(await listDeadLetters(create().requests, index)).toEqual([])
  })

  it("fails when an item can't be read", async () => {
    const { send, requests } = create()
    send.mockResolvedValueOnce({ Items: [{ id: "a" }] }).mockRejectedValueOnce(new Error("throttled"))
    await expect(listDeadLetters(requests, index)).rejects.toThrow("throttled")
  })
})

describe("setting dead letters back", () => {
  it("sends one conditional write for each id, however often it is named", async () => {
    const { send, requests } = create()
    await retryDeadLetters(requests, "outbox", ["a", "b", "a"])
    expect(send.mock.calls.map(([{ input }]) => [input.Key.id, input.ConditionExpression])).toEqual([
      ["a", expect.stringMatching(/^#status = :failed AND /)],
      ["b", expect.stringMatching(/^#status = :failed AND /)],
    ])
  })

  it("leaves alone what is unknown or not failed", async () => {
    const { send, requests } = create()
    send.mockRejectedValue(Object.assign(new Error(), { name: "ConditionalCheckFailedException" }))
    await expect(retryDeadLetters(requests, "outbox", ["unknown"])).resolves.toBeUndefined()
  })

  it("sends nothing for no ids", async () => {
    const { send, requests } = create()
    await retryDeadLetters(requests, "outbox", [])
    expect(send).not.toHaveBeenCalled()
  })

  it("goes on after an error, and names the ids for which it failed", async () => {
    const { send, requests } = create()
    const throttled = new Error("throttled")
    send.mockImplementation(async ({ input }) => {
      if (input.Key.id !== "b") throw throttled
    })
    const retry = retryDeadLetters(requests, "outbox", ["a", "b", "c"])
    await expect(retry).rejects.toThrow(OperationalError)
    await expect(retry).rejects.toMatchObject({
      message: "Could not retry the events a, c",
      cause: throttled,
      context: { eventIds: ["a", "c"] },
    })
    expect(send).toHaveBeenCalledTimes(3)
  })

  it("escapes line breaks in the ids", async () => {
    const { send, requests } = create()
    send.mockRejectedValue(new Error("throttled"))
    await expect(retryDeadLetters(requests, "outbox", ["a\nb", "c"])).rejects.toThrow(
      String.raw`Could not retry the events "a\nb", c`,
    )
  })

  it.each([[undefined], ["a"], [[""]], [["a", 7]], [[undefined]]])("refuses %o for ids", async (ids) => {
    const { send, requests } = create()
    const retry = retryDeadLetters(requests, "outbox", ids as string[])
    await expect(retry).rejects.toThrow(ValidationError)
    await expect(retry).rejects.toThrow(
      "retryEvents takes an array of event ids; allowed: non-empty strings.",
    )
    await expect(retry).rejects.toMatchObject({ context: { eventIds: ids } })
    expect(send).not.toHaveBeenCalled()
  })
})
