/** The end of a transaction of the helper: what comes too late is refused, what was forgotten causes a warning. */
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import type { DynamoDBAwsSdkTransactionCollector, TransactWriteItem } from "../transaction/collector.ts"
import { event } from "./outbox.fixture.ts"

const put: TransactWriteItem = { Put: { TableName: "orders", Item: { id: "1" } } }
const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
let withTransaction: typeof import("../transaction-storage.ts").withDynamoDBAwsSdkTransaction
let createOutbox: typeof import("./outbox.fixture.ts").createOutbox
let getCollector: () => DynamoDBAwsSdkTransactionCollector | undefined

beforeEach(async () => {
  vi.useFakeTimers()
  warning.mockClear()
  // Each cause is told once per process.
  vi.resetModules()
  const storage = await import("../transaction-storage.ts")
  withTransaction = storage.withDynamoDBAwsSdkTransaction
  getCollector = storage.getDynamoDBAwsSdkCollector()
  createOutbox = (await import("./outbox.fixture.ts")).createOutbox
})
afterEach(() => void vi.useRealTimers())

const codes = () => warning.mock.calls.map(([, options]) => (options as unknown as { code: string }).code)

it.each([
  [
    "has ended and its items have been read",
    async (collector: DynamoDBAwsSdkTransactionCollector) => collector.items,
  ],
  ["has failed", async () => Promise.reject(new Error("out of stock"))],
])("what is pushed or emitted when the function %s is refused", async (why, fn) => {
  const { outbox, sent } = createOutbox({}, { getCollector })
  let collector!: DynamoDBAwsSdkTransactionCollector
  let late: Promise<unknown> | undefined
  await withTransaction(async (current) => {
    collector = current
    current.push(put)
    // What is set off inside and not awaited still belongs to the transaction.
    late = new Promise((resolve) => setTimeout(resolve, 50)).then(() => outbox.publish([event("late")]))
    late.catch(() => {})
    await fn(current)
  }).catch(() => {})
  await vi.advanceTimersByTimeAsync(50)
  await expect(late).rejects.toThrow(`Too late for this transaction: its function ${why}`)
  expect(() => collector.push(put)).toThrow("Await every emit and push")
  expect(collector.items).toEqual([put])
  expect(sent).toEqual([])
})

it("a collector that fn returns can be added to and sent afterwards, without a warning", async () => {
  const { outbox } = createOutbox({}, { getCollector })
  const collector = await withTransaction(async (current) => {
    await outbox.publish([event("a")])
    return current
  })
  await vi.advanceTimersByTimeAsync(999)
  await outbox.publish([event("b")], collector)
  await vi.advanceTimersByTimeAsync(999)
  expect(collector.items).toHaveLength(2)
  await vi.advanceTimersByTimeAsync(2000)
  expect(warning).not.toHaveBeenCalled()
  expect(vi.getTimerCount()).toBe(0)
})

it("items that nobody reads cause one warning a second after the end", async () => {
  const { outbox } = createOutbox({}, { getCollector })
  for (let i = 0; i < 2; i++) await withTransaction(() => outbox.publish([event("a")]))
  await vi.advanceTimersByTimeAsync(999)
  expect(warning).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(1)
  expect(codes()).toEqual(["OUTBOX_TRANSACTION_NOT_SENT"])
})

it.each([
  ["nothing was pushed", async () => {}],
  [
    "the function has failed",
    async (collector: DynamoDBAwsSdkTransactionCollector) => {
      collector.push(put)
      throw new Error("out of stock")
    },
  ],
])("there is no warning where %s", async (_, fn) => {
  await withTransaction(fn).catch(() => {})
  await vi.advanceTimersByTimeAsync(5000)
  expect(warning).not.toHaveBeenCalled()
})

it("an event that is stored by itself inside a transaction causes one warning", async () => {
  const { outbox, inputsOf } = createOutbox()
  await withTransaction(async () => {
    for (const id of ["a", "b"]) await outbox.publish([event(id)])
  })
  expect(inputsOf("publish")).toHaveLength(2)
  expect(codes()).toEqual(["OUTBOX_EMIT_OUTSIDE_TRANSACTION"])
  warning.mockClear()
  await outbox.publish([event("c")])
  await withTransaction(async (collector) => {
    await outbox.publish([event("d")], collector)
    return collector.items
  })
  expect(warning).not.toHaveBeenCalled()
})
