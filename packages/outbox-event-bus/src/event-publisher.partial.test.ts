// Batches that fail in part, and batches limited in bytes.

import { describe, expect, expectTypeOf, it, vi } from "vitest"
import { ConfigurationError, OperationalError } from "./errors.ts"
import type { BusEvent } from "./event.ts"
import {
  advance,
  batches,
  deliver,
  handler,
  numbers,
  subscribe,
  useBusOnFakeClock,
} from "./event-publisher.fixture.ts"
import type { EventPublisher } from "./event-publisher.ts"
import type { BatchOutcome } from "./publisher.ts"

useBusOnFakeClock()

const refused = new Error("refused")
const done = { status: "fulfilled", value: undefined }
const failWith = (...ids: string[]): BatchOutcome => ({ failed: ids.map((id) => ({ id, error: refused })) })
const inOneBatch = { processingConfig: { bufferSize: 4 } }

describe("a batch that fails in part", () => {
  it("resolves the other events at once, and hands over again what failed, with the usual delays", async () => {
    const settled: number[] = []
    handler.mockResolvedValueOnce(failWith("2", "4")).mockResolvedValueOnce(failWith("4"))
    subscribe(inOneBatch)
    for (const n of numbers(4)) void deliver([n]).then(() => settled.push(n))
    await advance(0)
    expect(settled).toEqual([1, 3])
    await advance(999)
    expect(batches()).toEqual([[1, 2, 3, 4]])
    await advance(1)
    expect(settled).toEqual([1, 3, 2])
    await advance(2000)
    expect(batches()).toEqual([[1, 2, 3, 4], [2, 4], [4]])
    expect(settled).toEqual([1, 3, 2, 4])
  })

  it("fails those alone that fail at the last attempt, each with its own error", async () => {
    const other = new Error("throttled")
    handler.mockResolvedValue({
      failed: [
        { id: "2", error: refused },
        { id: "3", error: other },
      ],
    })
    subscribe(inOneBatch)
    const delivered = deliver(numbers(4))
    await advance(3000)
    expect(batches()).toEqual([
      [1, 2, 3, 4],
      [2, 3],
      [2, 3],
    ])
    expect(await delivered).toEqual([
      done,
      { status: "rejected", reason: refused },
      { status: "rejected", reason: other },
      done,
    ])
  })

  it("may fail as a whole afterwards: then with what is left of it", async () => {
    handler.mockResolvedValueOnce(failWith("2")).mockRejectedValue(new Error("queue down"))
    subscribe(inOneBatch)
    const delivered = deliver(numbers(4))
    await advance(3000)
    expect(await delivered).toEqual([
      done,
      { status: "rejected", reason: new Error("queue down") },
      done,
      done,
    ])
  })

  it("fails every event of an id that is named", async () => {
    handler.mockResolvedValueOnce(failWith("1"))
    subscribe({ processingConfig: { bufferSize: 3 }, retryConfig: { maxAttempts: 1 } })
    expect(await deliver([1, 1, 2])).toMatchObject([{ status: "rejected" }, { status: "rejected" }, done])
  })

  it("gets an error that names the event where the handler gives none", async () => {
    handler.mockResolvedValueOnce({ failed: [{ id: "1" }] })
    subscribe({ processingConfig: { bufferSize: 1 }, retryConfig: { maxAttempts: 1 } })
    const [result] = (await deliver([1])) as [PromiseRejectedResult]
    expect(result.reason).toBeInstanceOf(OperationalError)
    expect(result.reason.message).toContain('event "1"')
  })

  it.each([undefined, null, {}, { failed: [] }, { failed: null }, "ok"])(
    "has succeeded with %o",
    async (outcome) => {
      handler.mockResolvedValueOnce(outcome as BatchOutcome)
      subscribe(inOneBatch)
      expect(await deliver(numbers(4))).toEqual([done, done, done, done])
    },
  )

  it.each<[unknown, string]>([
    [failWith("2", "fi\nve"), '"fi\\nve"'],
    [{ failed: [{ Id: "2" }] }, "undefined"],
    [{ failed: [undefined] }, "undefined"],
    [{ failed: "2" }, "an array of { id, error }"],
  ])(
    "has failed as a whole with a report that makes no sense: %j; it is not retried",
    async (outcome, named) => {
      handler.mockResolvedValueOnce(outcome as BatchOutcome)
      subscribe(inOneBatch)
      const results = (await deliver(numbers(4))) as PromiseRejectedResult[]
      expect(results.map(({ status }) => status)).toEqual(Array(4).fill("rejected"))
      for (const { reason } of results) {
        expect(reason).toBeInstanceOf(ConfigurationError)
        expect(reason.message).toContain(named)
        expect(reason.message).toContain("Allowed: ")
      }
      expect(handler).toHaveBeenCalledOnce()
    },
  )
})

describe("maxBatchBytes", () => {
  it("splits a buffer where a batch would exceed it, in order; a larger event goes alone", async () => {
    const sizeOf = ({ payload }: BusEvent) => payload as number
    subscribe({ processingConfig: { bufferSize: 7, maxBatchSize: 3, maxBatchBytes: 10, sizeOf } })
    await deliver([5, 5, 1, 11, 2, 2, 2])
    expect(batches()).toEqual([[5, 5], [1], [11], [2, 2, 2]])
  })

  it("counts the bytes of the event as JSON unless told otherwise", async () => {
    const bytesOf = (payload: string) =>
      new TextEncoder().encode(JSON.stringify({ id: payload, type: "a", payload, occurredAt: new Date(0) }))
        .length
    const maxBatchBytes = 2 * bytesOf("ü")
    subscribe({ processingConfig: { bufferSize: 5, maxBatchBytes } })
    await deliver(["ü", "ä", "ö", "é", "xyz"])
    expect(batches()).toEqual([["ü", "ä"], ["ö", "é"], ["xyz"]])
  })

  it("fails an event alone that can't be measured", async () => {
    subscribe({ processingConfig: { bufferSize: 3, maxBatchBytes: 1000 } })
    expect(await deliver([1, 2n, 3])).toEqual([
      done,
      { status: "rejected", reason: expect.any(TypeError) },
      done,
    ])
    expect(batches()).toEqual([[1, 3]])
  })

  it.each([Number.NaN, -1, "9"])("fails an event alone that is measured as %o", async (size) => {
    const sizeOf = ({ payload }: BusEvent) => (payload === 2 ? (size as number) : 1)
    subscribe({ processingConfig: { bufferSize: 3, maxBatchBytes: 1000, sizeOf } })
    const [, failed] = (await deliver(numbers(3))) as [unknown, PromiseRejectedResult]
    expect(failed.reason).toBeInstanceOf(ConfigurationError)
    expect(failed.reason.message).toContain('event "2"')
    expect(batches()).toEqual([[1, 3]])
  })

  it("measures nothing where there is no limit", async () => {
    const sizeOf = vi.fn(() => 1)
    subscribe({ processingConfig: { bufferSize: 1, sizeOf } })
    await deliver([1])
    expect(sizeOf).not.toHaveBeenCalled()
  })
})

it("takes handlers that return nothing, and those that do only sometimes", () => {
  const subscribeAll = (publisher: EventPublisher, send: (events: BusEvent[]) => Promise<void>) => {
    publisher.subscribe(["a"], send)
    publisher.subscribe(["b"], async (events) => {
      await send(events)
    })
    publisher.subscribe(["c"], async (events) => {
      if (events.length > 0) return { failed: [{ id: "1", error: refused }] }
      return undefined
    })
    // @ts-expect-error not how a failed event is named
    publisher.subscribe(["d"], async () => ({ failed: [{ Id: "1" }] }))
  }
  expectTypeOf(subscribeAll).toBeFunction()
})
