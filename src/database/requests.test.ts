import { runInNewContext } from "node:vm"
import { GetCommand, QueryCommand, TransactWriteCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb"
import { TimeoutError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import type { TransactWriteItem } from "../transaction/collector.ts"
import { isNamed } from "./dynamodb-errors.ts"
import { RequestDeadline } from "./request-deadline.ts"
import { Requests } from "./requests.ts"

const named = (name: string, more: object = {}) => Object.assign(new Error(name), { name }, more)
const refused = () => named("ConditionalCheckFailedException")
const throttled = () => named("ThrottlingException")

const LEASE_MS = 30_000
const input = { TableName: "outbox", Key: { id: "e1" }, UpdateExpression: "SET a = :a" }

const create = ({ leaseMs = LEASE_MS, aborts = true } = {}) => {
  const send = vi.fn()
  const deadline = new RequestDeadline(leaseMs)
  return { send, deadline, requests: new Requests(() => ({ send }), deadline, aborts) }
}

useFakeClock()

describe("a write", () => {
  it("gives the item where it was asked for", async () => {
    const { send, requests } = create()
    send.mockResolvedValueOnce({ Attributes: { id: "e1" } })
    expect(await requests.write(input)).toEqual({ item: { id: "e1" } })
    expect(send.mock.lastCall?.[0]).toBeInstanceOf(UpdateCommand)
    expect(send.mock.lastCall?.[0].input).toEqual(input)
  })

  it("whose condition did not hold is refused, which is no error", async () => {
    const { send, requests } = create()
    send.mockRejectedValueOnce(refused())
    expect(await requests.write(input)).toBe("refused")
  })

  it("passes on every other error", async () => {
    const { send, requests } = create()
    send.mockRejectedValueOnce(throttled())
    await expect(requests.write(input)).rejects.toThrow("ThrottlingException")
  })

  it.each([[undefined], [{}]])("reads %o, as from a mocked client, as done", async (answer) => {
    const { send, requests } = create()
    send.mockResolvedValueOnce(answer)
    expect(await requests.write(input)).toEqual({ item: undefined })
  })

  it("takes a client that answers without a promise, or throws at once", async () => {
    const { send, requests } = create()
    send.mockReturnValueOnce(undefined)
    expect(await requests.write(input)).toEqual({ item: undefined })
    send.mockImplementationOnce(() => {
      throw refused()
    })
    expect(await requests.write(input)).toBe("refused")
  })

  it("asks for the client anew each time, since tests replace it", async () => {
    let client = { send: vi.fn() }
    const requests = new Requests(() => client, new RequestDeadline(LEASE_MS), true)
    await requests.write(input)
    client = { send: vi.fn().mockResolvedValue({ Attributes: { id: "second" } }) }
    expect(await requests.write(input)).toEqual({ item: { id: "second" } })
  })
})

describe("an answer that does not come", () => {
  it.each([
    ["ten seconds with a usual lease", LEASE_MS, 10_000],
    ["ten seconds at least", 100, 10_000],
  ])("is waited for %s, and no longer", async (_, leaseMs, waitMs) => {
    const { send, requests } = create({ leaseMs })
    send.mockReturnValue(new Promise(() => {}))
    const results: unknown[] = []
    for (const request of [requests.write(input), requests.query(input), requests.get("outbox", "e1")]) {
      request.catch((error) => results.push(error))
    }
    await pass(waitMs - 1)
    expect(results).toEqual([])
    await pass(1)
    expect(results).toEqual([0, 1, 2].map(() => new TimeoutError("a response from DynamoDB", waitMs)))
  })

  it("is aborted, whichever request it belongs to, and only then", async () => {
    const { send, requests } = create()
    send.mockReturnValue(new Promise(() => {}))
    for (const request of [requests.write(input), requests.query(input), requests.get("outbox", "e1")]) {
      request.catch(() => {})
    }
    const signals = send.mock.calls.map(([, { abortSignal }]) => abortSignal as AbortSignal)
    await pass(9999)
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false, false])
    await pass(1)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true])
  })

  it("is given up without a second argument to send where a caller waits for it", async () => {
    const { send, requests } = create({ aborts: false })
    send.mockReturnValue(new Promise(() => {}))
    const outcome = vi.fn()
    requests.query(input).catch(outcome)
    requests.write(input).catch(outcome)
    await pass(10_000)
    expect(outcome.mock.calls).toEqual([[expect.any(TimeoutError)], [expect.any(TimeoutError)]])
    expect(send.mock.calls.map(({ length }) => length)).toEqual([1, 1])
  })

  it("leaves no timer behind when it does come", async () => {
    const { requests } = create()
    await requests.write(input)
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe("a persistent write", () => {
  it("tries again until it succeeds, and tells of the first error only", async () => {
    const { send, requests } = create()
    send.mockRejectedValueOnce(throttled()).mockRejectedValueOnce(new Error("socket hang up"))
    send.mockResolvedValueOnce({})
    const onError = vi.fn()
    const written = requests.writePersistently(input, onError)
    await pass(49)
    expect(send).toHaveBeenCalledTimes(1)
    await pass(1)
    expect(send).toHaveBeenCalledTimes(2)
    await pass(100)
    expect(await written).toEqual({ item: undefined })
    expect(onError).toHaveBeenCalledExactlyOnceWith(throttled())
  })

  it("takes a refusal for an answer", async () => {
    const { send, requests } = create()
    send.mockRejectedValueOnce(throttled()).mockRejectedValueOnce(refused())
    const written = requests.writePersistently(input, () => {})
    await pass(50)
    expect(await written).toBe("refused")
  })

  it("gives up after a lease, with pauses of two seconds at most", async () => {
    const { send, requests } = create()
    send.mockRejectedValue(throttled())
    const written = vi.fn()
    void requests.writePersistently(input, () => {}).then(written)
    await pass(LEASE_MS - 2000)
    expect(written).not.toHaveBeenCalled()
    await pass(4000)
    expect(written).toHaveBeenCalledExactlyOnceWith(undefined)
    // 50, 100, 200, 400, 800, 1600 ms and then one each two seconds.
    expect(send.mock.calls.length).toBeGreaterThan(15)
    expect(send.mock.calls.length).toBeLessThan(25)
  })

  it("gives up at once what DynamoDB finds invalid: it would again", async () => {
    const { send, requests } = create()
    send.mockRejectedValue(named("ValidationException"))
    const onError = vi.fn()
    expect(await requests.writePersistently(input, onError)).toBeUndefined()
    expect(send).toHaveBeenCalledOnce()
    expect(onError).toHaveBeenCalledOnce()
  })

  it("gives up within the bound of a stop, however it fails, until it is started again", async () => {
    const { send, deadline, requests } = create()
    send.mockRejectedValue(throttled())
    const written = vi.fn()
    void requests.writePersistently(input, () => {}).then(written)
    await pass(1000)
    deadline.stop()
    await pass(5000)
    expect(written).not.toHaveBeenCalled()
    send.mockReturnValue(new Promise(() => {}))
    await pass(4500)
    expect(written).toHaveBeenCalledExactlyOnceWith(undefined)

    deadline.restart()
    send.mockReset().mockRejectedValue(throttled())
    void requests.writePersistently(input, () => {}).then(written)
    await pass(LEASE_MS - 2000)
    expect(written).toHaveBeenCalledOnce()
  })

  it("has the whole bound to itself when a handler ends long after stop was called", async () => {
    const { send, deadline, requests } = create()
    deadline.stop()
    await pass(60_000)
    deadline.handlerEnded()
    send.mockRejectedValue(throttled())
    const written = vi.fn()
    void requests.writePersistently(input, () => {}).then(written)
    await pass(9400)
    expect(written).not.toHaveBeenCalled()
    send.mockResolvedValue({})
    await pass(100)
    expect(written).toHaveBeenCalledOnce()
  })
})

describe("a transaction", () => {
  const items: TransactWriteItem[] = [
    { Put: { TableName: "outbox", Item: { id: "e1" } } },
    { Put: { TableName: "outbox", Item: { id: "e2" } } },
    { Put: { TableName: "outbox", Item: { id: "e3" } } },
  ]
  const cancelled = (...codes: (string | undefined)[]) =>
    named("TransactionCanceledException", { CancellationReasons: codes.map((Code) => ({ Code })) })

  it("is sent as one command", async () => {
    const { send, requests } = create()
    expect(await requests.writeAll(items)).toEqual([])
    expect(send.mock.lastCall?.[0]).toBeInstanceOf(TransactWriteCommand)
    expect(send.mock.lastCall?.[0].input).toEqual({ TransactItems: items })
  })

  it("tells which conditions did not hold", async () => {
    const { send, requests } = create()
    send.mockRejectedValueOnce(cancelled("ConditionalCheckFailed", "None", "ConditionalCheckFailed"))
    expect(await requests.writeAll(items)).toEqual([0, 2])
  })

  it.each([
    ["cancelled for another reason", cancelled("None", "TransactionConflict", undefined)],
    ["cancelled without reasons", named("TransactionCanceledException")],
    ["failed otherwise", throttled()],
  ])("throws where it is %s", async (_, error) => {
    const { send, requests } = create()
    send.mockRejectedValueOnce(error)
    await expect(requests.writeAll(items)).rejects.toBe(error)
  })
})

describe("reads", () => {
  it("a page of an index", async () => {
    const { send, requests } = create()
    send.mockResolvedValueOnce({ Items: [{ id: "e1" }], LastEvaluatedKey: { id: "e1" } })
    expect(await requests.query(input)).toEqual({ rows: [{ id: "e1" }], next: { id: "e1" } })
    expect(send.mock.lastCall?.[0]).toBeInstanceOf(QueryCommand)
    expect(await requests.query(input)).toEqual({ rows: [] })
  })

  it("an item as it is now, whatever an index shows", async () => {
    const { send, requests } = create()
    send.mockResolvedValueOnce({ Item: { id: "e1" } })
    expect(await requests.get("outbox", "e1")).toEqual({ id: "e1" })
    expect(send.mock.lastCall?.[0]).toBeInstanceOf(GetCommand)
    expect(send.mock.lastCall?.[0].input).toEqual({
      TableName: "outbox",
      Key: { id: "e1" },
      ConsistentRead: true,
    })
    expect(await requests.get("outbox", "gone")).toBeUndefined()
  })
})

describe("an error of DynamoDB", () => {
  it("is known by its name", () => {
    expect(isNamed(refused(), "ConditionalCheckFailedException")).toBe(true)
    expect(isNamed(refused(), "ThrottlingException")).toBe(false)
    expect(isNamed({ name: "ThrottlingException" }, "ThrottlingException")).toBe(false)
  })

  it("is known by its type where its name is only Error, as with two copies of the SDK's core", async () => {
    const typed = (name: string, more: object = {}) =>
      Object.assign(new Error(), { __type: `com.amazonaws.dynamodb.v20120810#${name}` }, more)
    const { send, requests } = create()
    send.mockRejectedValueOnce(typed("ConditionalCheckFailedException"))
    expect(await requests.write(input)).toBe("refused")
    const CancellationReasons = [{ Code: "ConditionalCheckFailed" }]
    send.mockRejectedValueOnce(typed("TransactionCanceledException", { CancellationReasons }))
    expect(await requests.writeAll([{ Put: { TableName: "outbox", Item: { id: "e1" } } }])).toEqual([0])
    expect(
      isNamed(Object.assign(new Error(), { __type: "ThrottlingException" }), "ThrottlingException"),
    ).toBe(true)
    expect(isNamed(Object.assign(new Error(), { __type: 1 }), "ThrottlingException")).toBe(false)
  })

  it("is known from another realm", () => {
    const error = runInNewContext("Object.assign(new Error('no'), { name: 'ThrottlingException' })")
    expect(isNamed(error, "ThrottlingException")).toBe(true)
  })
})
