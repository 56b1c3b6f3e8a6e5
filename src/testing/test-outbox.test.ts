/** The test outbox: what is seen of it, and that it needs no time to pass. */
import { TransactionCanceledException } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import {
  BatchSizeLimitError,
  HandlerError,
  MaxRetriesExceededError,
  type OutboxError,
  OutboxEventBus,
  ValidationError,
} from "outbox-event-bus"
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest"
import { deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import {
  DynamoDBAwsSdkOutbox,
  getDynamoDBAwsSdkCollector,
  type TransactWriteItem,
  withDynamoDBAwsSdkTransaction,
} from "../index.ts"
import { TestOutbox, type TestOutboxOptions } from "../testing.ts"

function createBus(options: TestOutboxOptions = {}) {
  const outbox = new TestOutbox({ getCollector: getDynamoDBAwsSdkCollector(), ...options })
  const errors: OutboxError[] = []
  const bus = new OutboxEventBus(outbox, (error) => errors.push(error))
  onTestFinished(() => bus.stop())
  return { outbox, bus, errors }
}

const order = { Put: { TableName: "orders", Item: { orderId: "1" } } }
const emitted = { id: "e1", type: "placed", payload: { n: 1 } }
const idsOf = (events: readonly { id: string }[]) => events.map(({ id }) => id)

/** As jest fakes them by default, but for `process.nextTick`, which vitest does not fake in a process of its own. */
const fakeEverything = () =>
  vi.useFakeTimers({
    toFake: [
      "setTimeout",
      "clearTimeout",
      "setInterval",
      "clearInterval",
      "setImmediate",
      "clearImmediate",
      "queueMicrotask",
      "Date",
      "performance",
    ],
  })

afterEach(() => {
  vi.useRealTimers()
})

it("is the real outbox", () => {
  expect(new TestOutbox()).toBeInstanceOf(DynamoDBAwsSdkOutbox)
})

describe.each([
  ["with real timers", () => {}],
  ["while all timers are faked and stand still", fakeEverything],
])("%s", (_name, prepare) => {
  it("an event is published, delivered, and idle() says when", async () => {
    prepare()
    const { outbox, bus, errors } = createBus()
    const handler = vi.fn(async () => {})
    bus.on("placed", handler)
    bus.start()
    const before = Date.now()
    await bus.emit({ ...emitted, metadata: { by: "me" } })
    await outbox.idle()
    const event = { ...emitted, metadata: { by: "me" }, occurredAt: expect.any(Date) }
    expect(handler).toHaveBeenCalledExactlyOnceWith(event)
    expect(outbox.published).toEqual([event])
    expect(outbox.delivered).toEqual([event])
    expect(outbox.delivered[0]?.occurredAt.getTime()).toBeGreaterThanOrEqual(before)
    expect(outbox.failed).toEqual([])
    expect(errors).toEqual([])
  })

  it("a failing event is tried maxRetries times, each failure reported, and then a dead letter", async () => {
    prepare()
    const { outbox, bus, errors } = createBus({ maxRetries: 3 })
    const handler = vi.fn(async () => Promise.reject(new Error("boom")))
    bus.on("placed", handler)
    bus.start()
    await bus.emit(emitted)
    await outbox.idle()
    expect(handler).toHaveBeenCalledTimes(3)
    expect(errors.map((error) => error.constructor)).toEqual([
      HandlerError,
      HandlerError,
      MaxRetriesExceededError,
    ])
    expect(outbox.delivered).toEqual([])
    expect(outbox.failed).toEqual([expect.objectContaining({ id: "e1", error: "boom", retryCount: 3 })])
    expect(await bus.getFailedEvents()).toEqual(outbox.failed)
  })

  it.each([1, 2])("a dead letter of %i attempts is delivered when it is retried", async (maxRetries) => {
    prepare()
    const { outbox, bus } = createBus({ maxRetries })
    let isFixed = false
    bus.on("placed", async () => {
      if (!isFixed) throw new Error("boom")
    })
    bus.start()
    await bus.emit(emitted)
    await outbox.idle()
    isFixed = true
    await bus.retryEvents(["e1", "unknown"])
    await outbox.idle()
    expect(outbox.failed).toEqual([])
    expect(idsOf(outbox.delivered)).toEqual(["e1"])
    expect(idsOf(outbox.published)).toEqual(["e1"])
  })

  it("what handlers emit is waited for, and events keep their order", async () => {
    prepare()
    const { outbox, bus } = createBus()
    bus.on("placed", async ({ id }) => {
      await bus.emit({ id: `${id} shipped`, type: "shipped", payload: null })
    })
    bus.on("shipped", async () => {})
    bus.start()
    await bus.emitMany(Array.from({ length: 60 }, (_, i) => ({ id: `e${i}`, type: "placed", payload: i })))
    await outbox.idle()
    const ids = Array.from({ length: 60 }, (_, i) => `e${i}`)
    expect(idsOf(outbox.delivered)).toHaveLength(120)
    expect(idsOf(outbox.delivered).filter((id) => !id.includes("shipped"))).toEqual(ids)
  })

  it("a handler that is still running is waited for", async () => {
    prepare()
    const { outbox, bus } = createBus()
    const end = deferred()
    bus.on("placed", () => end.promise)
    bus.start()
    await bus.emit(emitted)
    const isIdle = vi.fn()
    const idle = outbox.idle().then(isIdle)
    await vi.waitUntil(() => bus.listenerCount("placed") === 1)
    expect(isIdle).not.toHaveBeenCalled()
    end.resolve()
    await idle
    expect(idsOf(outbox.delivered)).toEqual(["e1"])
  })

  it("is idle when it is not started, or stopped, and delivers what was published before the start", async () => {
    prepare()
    const { outbox, bus } = createBus()
    bus.on("placed", async () => {})
    await bus.emit(emitted)
    await outbox.idle()
    expect(outbox.delivered).toEqual([])
    bus.start()
    await outbox.idle()
    expect(idsOf(outbox.delivered)).toEqual(["e1"])
    await bus.stop()
    await bus.emit({ ...emitted, id: "e2" })
    await outbox.idle()
    expect(idsOf(outbox.delivered)).toEqual(["e1"])
  })

  it("an event is refused as by the real outbox", async () => {
    prepare()
    const { outbox, bus } = createBus()
    await bus.emit(emitted)
    await expect(bus.emit(emitted)).rejects.toThrow(ValidationError)
    await expect(bus.emit({ type: "placed", payload: Number.NaN })).rejects.toThrow("payload is NaN")
    await expect(bus.emit({ type: "placed", payload: "x".repeat(400_000) })).resolves.toBeUndefined()
    await expect(bus.emit({ type: "placed", payload: "x".repeat(409_000) })).rejects.toThrow("too large")
    const many = Array.from({ length: 101 }, () => ({ type: "placed", payload: 1 }))
    await expect(bus.emitMany(many)).rejects.toThrow(BatchSizeLimitError)
    expect(outbox.published).toHaveLength(2)
  })
})

describe("a transaction", () => {
  it("publishes when it is committed, and not before", async () => {
    const { outbox, bus } = createBus()
    bus.on("placed", async () => {})
    bus.start()
    await withDynamoDBAwsSdkTransaction(async (transaction) => {
      transaction.push(order)
      await bus.emit(emitted)
      await outbox.idle()
      expect(outbox.published).toEqual([])
      await outbox.commit(transaction)
    })
    await outbox.idle()
    expect(idsOf(outbox.published)).toEqual(["e1"])
    expect(idsOf(outbox.delivered)).toEqual(["e1"])
  })

  it("publishes when its items are sent through the outbox's client", async () => {
    const { outbox, bus } = createBus()
    const items: TransactWriteItem[] = [order]
    await bus.emit(emitted, items)
    await outbox.client.send(new TransactWriteCommand({ TransactItems: items }))
    expect(idsOf(outbox.published)).toEqual(["e1"])
  })

  it("that is never committed publishes nothing", async () => {
    const { outbox, bus } = createBus()
    const transaction = withDynamoDBAwsSdkTransaction(async () => {
      await bus.emit(emitted)
      throw new Error("out of stock")
    })
    await expect(transaction).rejects.toThrow("out of stock")
    expect(outbox.published).toEqual([])
  })

  it("is cancelled as a whole when an id is taken, and says at which position", async () => {
    const { outbox, bus } = createBus()
    await bus.emit(emitted)
    const items: TransactWriteItem[] = [order]
    await bus.emitMany([{ ...emitted, id: "e0" }, emitted], items)
    const error = await outbox.commit(items).catch((error) => error)
    expect(error).toBeInstanceOf(TransactionCanceledException)
    expect(error.CancellationReasons.map(({ Code }: { Code: string }) => Code)).toEqual([
      "None",
      "None",
      "ConditionalCheckFailed",
    ])
    expect(idsOf(outbox.published)).toEqual(["e1"])
  })

  it("has 1 to 100 items, and none twice", async () => {
    const { outbox, bus } = createBus()
    const items: TransactWriteItem[] = []
    await bus.emit(emitted, items)
    const invalid = { name: "ValidationException" }
    await expect(outbox.commit([])).rejects.toMatchObject(invalid)
    await expect(outbox.commit([...items, ...items])).rejects.toMatchObject(invalid)
    await expect(outbox.commit(Array.from({ length: 101 }, () => order))).rejects.toMatchObject(invalid)
    expect(outbox.published).toEqual([])
  })
})

it("its client refuses what it can't do, by name", async () => {
  class PutCommand {}
  const send = new TestOutbox().client.send as (command: unknown) => Promise<unknown>
  await expect(send(new PutCommand())).rejects.toThrow("takes TransactWriteCommand only, not PutCommand")
})

it("keeps its table where a test has replaced DynamoDBDocumentClient.from", async () => {
  const send = vi.fn()
  const from = vi.spyOn(DynamoDBDocumentClient, "from").mockReturnValue({ send } as never)
  onTestFinished(() => from.mockRestore())
  const { outbox, bus } = createBus()
  await bus.emit(emitted)
  expect(send).not.toHaveBeenCalled()
  expect(idsOf(outbox.published)).toEqual(["e1"])
})

it("commit refuses a collector that doesn't show what it holds", async () => {
  await expect(new TestOutbox().commit({ push: () => {} })).rejects.toThrow(ValidationError)
})

describe("with baseBackoffMs", () => {
  it("retries wait, by the clock of the test", async () => {
    fakeEverything()
    const { outbox, bus, errors } = createBus({ baseBackoffMs: 1000, maxRetries: 2 })
    bus.on("placed", async () => Promise.reject(new Error("boom")))
    bus.start()
    await bus.emit(emitted)
    await outbox.idle()
    expect(errors).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(800)
    expect(errors).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(400)
    expect(errors).toHaveLength(2)
    expect(idsOf(outbox.failed)).toEqual(["e1"])
  })
})

it("an event of the future is delivered then", async () => {
  fakeEverything()
  const { outbox, bus } = createBus()
  bus.on("placed", async () => {})
  bus.start()
  await bus.emit({ ...emitted, occurredAt: new Date(Date.now() + 5000) })
  await outbox.idle()
  expect(outbox.delivered).toEqual([])
  await vi.advanceTimersByTimeAsync(5200)
  expect(idsOf(outbox.delivered)).toEqual(["e1"])
})

it("a handler that fails for ever leaves others their turn", async () => {
  const { bus } = createBus({ maxRetries: Number.POSITIVE_INFINITY })
  const handler = vi.fn(async () => Promise.reject(new Error("boom")))
  bus.on("placed", handler)
  bus.start()
  await bus.emit(emitted)
  await new Promise((resolve) => setTimeout(resolve, 1))
  expect(handler.mock.calls.length).toBeGreaterThan(1)
})

it("what a handler does to its event changes nothing of what is retried, or asserted on", async () => {
  const { outbox, bus } = createBus()
  const seen: unknown[] = []
  bus.on("placed", async ({ payload }) => {
    const list = payload as { lines: number[] }
    seen.push([...list.lines])
    list.lines.push(2)
    if (seen.length === 1) throw new Error("once more")
  })
  bus.start()
  const payload = { lines: [1] }
  await bus.emit({ type: "placed", payload })
  payload.lines.push(3)
  await outbox.idle()
  expect(seen).toEqual([[1], [1]])
  expect(outbox.published[0]?.payload).toEqual({ lines: [1] })
  expect(outbox.delivered[0]?.payload).toEqual({ lines: [1] })
})

it("hands an event that was released for want of a handler to the handler that is there later", async () => {
  const outbox = new TestOutbox({ baseBackoffMs: 1 })
  const errors: OutboxError[] = []
  const bus = new OutboxEventBus(outbox, {
    onError: (error) => errors.push(error),
    unhandledEvents: "release",
  })
  onTestFinished(() => bus.stop())
  bus.start()
  await bus.emit(emitted)
  await vi.waitFor(() => expect(errors.map(({ name }) => name)).toEqual(["UnhandledEventError"]))
  expect(outbox.delivered).toEqual([])
  const handled = deferred()
  bus.on("placed", async () => handled.resolve())
  await handled.promise
  await outbox.idle()
  expect(idsOf(outbox.delivered)).toEqual(["e1"])
  expect(outbox.failed).toEqual([])
})

it("is idle while a released event pauses, however long the way to its handler", async () => {
  const outbox = new TestOutbox()
  const bus = new OutboxEventBus(outbox, { onError: () => {}, unhandledEvents: "release" })
  onTestFinished(() => bus.stop())
  bus.addHandlerMiddleware(async (_, next) => {
    const before = Date.now()
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(before + 1))
    await next()
  })
  bus.start()
  await bus.emit(emitted)
  await outbox.idle()
  expect([outbox.published.length, outbox.delivered, outbox.failed]).toEqual([1, [], []])
})

it("without polling delivers when it is drained, and is idle meanwhile", async () => {
  const outbox = new TestOutbox({ polling: false })
  const bus = new OutboxEventBus(outbox, () => {})
  bus.on("order.placed", async () => {})
  bus.start()
  await bus.emitMany([
    { id: "a", type: "order.placed", payload: 1 },
    { id: "b", type: "order.placed", payload: 2 },
  ])
  await outbox.idle()
  expect(outbox.delivered).toEqual([])
  expect(await outbox.deliver(["b"])).toMatchObject({ delivered: 1 })
  expect(await outbox.drain()).toMatchObject({ delivered: 1, reason: "empty" })
  expect(outbox.delivered.map(({ id }) => id)).toEqual(["b", "a"])
  await bus.stop()
})

it("commits for the helper, and says which event was refused", async () => {
  const outbox = new TestOutbox({ getCollector: getDynamoDBAwsSdkCollector() })
  const emit = (id: string) =>
    withDynamoDBAwsSdkTransaction(
      async (transaction) => {
        transaction.push({ Put: { TableName: "orders", Item: { id } } })
        await outbox.publish([{ id, type: "order.placed", payload: 1, occurredAt: new Date() }])
      },
      { client: outbox.client },
    )
  await emit("a")
  expect(outbox.published.map(({ id }) => id)).toEqual(["a"])
  await expect(emit("a")).rejects.toThrow(
    'write 1 (event "a"): an event with this id is in the table already',
  )
})
