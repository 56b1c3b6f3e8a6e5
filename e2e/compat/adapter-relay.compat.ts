import { type BusEvent, HandlerError, MaxRetriesExceededError, type OutboxError } from "outbox-event-bus"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { createMockedOutbox, NOW, storedItem } from "./mocked-client.ts"
import { anEvent } from "./recording-outbox.ts"

beforeEach(() => {
  vi.useFakeTimers({ now: NOW })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms)

function createRelay(options: Parameters<typeof createMockedOutbox>[0] = {}) {
  const mocked = createMockedOutbox(options)
  const errors: OutboxError[] = []
  const handler = vi.fn(async (_event: BusEvent): Promise<void> => {})
  return {
    ...mocked,
    errors,
    handler,
    start: () => mocked.outbox.start(handler, (error) => errors.push(error)),
  }
}

describe("a handler that throws", () => {
  const failing = (item: object, failure: Error) => {
    const relay = createRelay()
    relay.answerFirstPoll(item)
    relay.handler.mockRejectedValue(failure)
    return relay
  }

  it("is reported as a HandlerError, and written by an update that names retryCount", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.5)
    const failure = new Error("boom")
    const { start, outbox, errors, updates } = failing(storedItem("e1"), failure)
    start()
    await pass(100)
    await outbox.stop()
    expect(errors).toEqual([expect.any(HandlerError)])
    expect(errors[0]).toMatchObject({ cause: failure, message: "Event handler failed: boom" })
    expect(errors[0]?.context?.event).toMatchObject(anEvent({ id: "e1" }))
    const failed = updates().find(({ UpdateExpression }) => UpdateExpression?.includes("retryCount"))
    const values = Object.values(failed?.ExpressionAttributeValues ?? {})
    expect(values).toEqual(expect.arrayContaining(["created", 1, "boom"]))
    // baseBackoffMs · 2^0, without jitter.
    expect(
      values.some((value) => typeof value === "number" && value >= NOW + 1000 && value < NOW + 1200),
    ).toBe(true)
  })

  it("is reported as a MaxRetriesExceededError the fifth time", async () => {
    const failure = new Error("boom")
    const { start, outbox, errors, updates } = failing(storedItem("e1", { retryCount: 4 }), failure)
    start()
    await pass(100)
    await outbox.stop()
    expect(errors).toEqual([expect.any(MaxRetriesExceededError)])
    expect(errors[0]).toMatchObject({
      cause: failure,
      retryCount: 5,
      message: "Max retries exceeded (5). Event moved to DLQ.",
    })
    const failed = updates().find(({ UpdateExpression }) => UpdateExpression?.includes("retryCount"))
    expect(Object.values(failed?.ExpressionAttributeValues ?? {})).toEqual(
      expect.arrayContaining(["failed", 5, "boom"]),
    )
  })

  it("may throw what a lost claim throws", async () => {
    const failure = Object.assign(new Error("the handler's own"), { name: "ConditionalCheckFailedException" })
    const { start, outbox, errors } = failing(storedItem("e1"), failure)
    start()
    await pass(100)
    await outbox.stop()
    expect(errors).toEqual([expect.any(HandlerError)])
  })
})

it("does not handle an event whose claim is lost", async () => {
  const { answerFirstPoll, send, start, outbox, handler, errors } = createRelay()
  answerFirstPoll(storedItem("e1"))
  send.mockRejectedValueOnce(Object.assign(new Error("lost"), { name: "ConditionalCheckFailedException" }))
  start()
  await pass(100)
  await outbox.stop()
  expect(handler).not.toHaveBeenCalled()
  expect(errors).toEqual([])
})

it("handles one event at a time, the oldest first", async () => {
  const { answerFirstPoll, start, outbox, handler } = createRelay()
  answerFirstPoll(storedItem("e1", { gsiSortKey: NOW - 3 }), storedItem("e2", { gsiSortKey: NOW - 2 }))
  let running = 0
  let most = 0
  const order: string[] = []
  handler.mockImplementation(async ({ id }) => {
    order.push(id)
    most = Math.max(most, ++running)
    await new Promise((resolve) => setTimeout(resolve, 10))
    running -= 1
  })
  start()
  await pass(100)
  await outbox.stop()
  expect(order).toEqual(["e1", "e2"])
  expect(most).toBe(1)
})

it("recovers an active event whose lease has expired as a failed attempt, and reports it", async () => {
  const { send, start, outbox, errors, updates } = createRelay()
  send.mockResolvedValueOnce({ Items: [storedItem("e1", { status: "active", gsiSortKey: NOW - 1 })] })
  start()
  await pass(100)
  await outbox.stop()
  expect(errors.map(({ message }) => message)).toEqual(["Event handler failed: Processing timeout"])
  const [recovered] = updates()
  expect(recovered).toMatchObject({ Key: { id: "e1" }, ConditionExpression: expect.any(String) })
  expect(Object.values(recovered?.ExpressionAttributeValues ?? {})).toEqual(
    expect.arrayContaining(["created", 1, "Processing timeout"]),
  )
})

describe("stop", () => {
  it("is safe before start, and twice", async () => {
    const { outbox, start, send } = createRelay()
    await outbox.stop()
    expect(send).not.toHaveBeenCalled()
    start()
    await Promise.all([outbox.stop(), outbox.stop()])
    await outbox.stop()
  })

  it("waits for the handlers that run, and starts no more", async () => {
    const { answerFirstPoll, outbox, start, handler } = createRelay()
    answerFirstPoll(storedItem("e1"), storedItem("e2"))
    let end = () => {}
    handler.mockImplementation(
      () =>
        new Promise((resolve) => {
          end = resolve
        }),
    )
    start()
    await pass(10)
    let stopped = false
    const stopping = outbox.stop().then(() => {
      stopped = true
    })
    await pass(5000)
    expect(stopped).toBe(false)
    end()
    await pass()
    await stopping
    expect(handler).toHaveBeenCalledOnce()
  })

  it("right after start delivers a page, each time", async () => {
    const { send, outbox, start, handler } = createRelay({ batchSize: 2 })
    for (const page of [["e1", "e2"], ["e3"]]) {
      const items = page.map((id) => storedItem(id))
      send.mockResolvedValueOnce({ Items: [] }).mockResolvedValueOnce({ Items: items })
      start()
      const stopping = outbox.stop()
      await pass(10_000)
      await stopping
    }
    expect(handler.mock.calls.map(([{ id }]) => id)).toEqual(["e1", "e2", "e3"])
  })
})
