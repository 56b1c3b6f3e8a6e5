/** Options of the adapter: what is allowed, what is refused, and the defaults, as far as they are seen from outside. */
import {
  DynamoDBAwsSdkOutbox,
  type DynamoDBAwsSdkOutboxConfig,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { ConfigurationError } from "outbox-event-bus"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { createMockedOutbox, NOW, storedItem } from "./mocked-client.ts"
import { anEvent } from "./recording-outbox.ts"

beforeEach(() => {
  vi.useFakeTimers({ now: NOW })
})
afterEach(() => {
  vi.useRealTimers()
})

const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms)

/** As JavaScript, and configurations read from elsewhere, give them. */
const unchecked = (options: object) => createMockedOutbox(options as Partial<DynamoDBAwsSdkOutboxConfig>)

const DEFAULTED = [
  "statusIndexName",
  "processingTimeoutMs",
  "getCollector",
  "batchSize",
  "pollIntervalMs",
  "maxRetries",
  "baseBackoffMs",
  "maxErrorBackoffMs",
]

describe.each([
  ["absent", {}],
  ["null", Object.fromEntries(DEFAULTED.map((name) => [name, null]))],
  ["undefined", Object.fromEntries(DEFAULTED.map((name) => [name, undefined]))],
])("options that are %s have their defaults:", (_, options) => {
  it("statusIndexName, batchSize, pollIntervalMs, processingTimeoutMs", async () => {
    const { outbox, answerFirstPoll, sent, updates } = unchecked(options)
    answerFirstPoll(storedItem("e1"))
    outbox.start(
      () => new Promise((resolve) => setTimeout(resolve, 100)),
      () => {},
    )
    await pass(0)
    const [recovery, due] = sent()
    expect(recovery?.input.IndexName).toBe("status-gsiSortKey-index")
    expect(due?.input).toMatchObject({ IndexName: "status-gsiSortKey-index", Limit: 50 })
    expect(Object.values(updates()[0]?.ExpressionAttributeValues ?? {})).toContain(NOW + 30_000)
    await pass(200)
    await outbox.stop()
  })

  it("pollIntervalMs", async () => {
    const { outbox, sent } = unchecked(options)
    outbox.start(
      async () => {},
      () => {},
    )
    await pass(999)
    expect(sent()).toHaveLength(2)
    await pass(1)
    expect(sent().length).toBeGreaterThan(2)
    await outbox.stop()
  })

  it("getCollector", async () => {
    const { outbox, send } = unchecked(options)
    await outbox.publish([anEvent()])
    expect(send).toHaveBeenCalledOnce()
  })
})

it.each([
  { maxRetries: Number.POSITIVE_INFINITY },
  { baseBackoffMs: Number.POSITIVE_INFINITY },
  { maxErrorBackoffMs: Number.POSITIVE_INFINITY },
  { baseBackoffMs: 1e12 },
  { maxErrorBackoffMs: 1e12 },
  { pollIntervalMs: 1e12 },
  { processingTimeoutMs: 1e12 },
  { batchSize: 5000 },
])("allows %o, and polls with it", async (options) => {
  const { outbox, answerFirstPoll } = createMockedOutbox(options)
  answerFirstPoll(storedItem("e1"))
  const handler = vi.fn(async () => {})
  const onError = vi.fn()
  outbox.start(handler, onError)
  await pass(100)
  await outbox.stop()
  expect(handler).toHaveBeenCalledOnce()
  expect(onError).not.toHaveBeenCalled()
})

it.each([
  { batchSize: 0 },
  { batchSize: 1.5 },
  { batchSize: "50" },
  { maxRetries: -1 },
  { pollIntervalMs: Number.NaN },
  { baseBackoffMs: -1 },
  { processingTimeoutMs: 0 },
  { maxErrorBackoffMs: "1s" },
  { statusIndexName: 7 },
  { getCollector: "mine" },
])("refuses %o in the constructor, by its name", (options) => {
  const [name = ""] = Object.keys(options)
  expect(() => unchecked(options)).toThrow(ConfigurationError)
  expect(() => unchecked(options)).toThrow(name)
})

it("needs a client", () => {
  const create = () => new DynamoDBAwsSdkOutbox({ tableName: "outbox" } as never)
  expect(create).toThrow(ConfigurationError)
  expect(create).toThrow("client")
})

describe.each([undefined, null])("a tableName that is %s", (tableName) => {
  it("is refused by the first use, not by the constructor", async () => {
    const { outbox } = unchecked({ tableName })
    for (const use of [
      () => outbox.publish([anEvent()]),
      () => outbox.getFailedEvents(),
      () => outbox.retryEvents(["e1"]),
      async () =>
        outbox.start(
          async () => {},
          () => {},
        ),
    ]) {
      await expect(use()).rejects.toThrow(ConfigurationError)
      await expect(use()).rejects.toThrow("tableName")
    }
    await outbox.stop()
  })
})
