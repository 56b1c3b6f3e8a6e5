/** The unusual: odd errors, a handler that changes its event, a start in a transaction, an item that can't be updated. */
import { AsyncLocalStorage } from "node:async_hooks"
import { expect, it } from "vitest"
import type { TransactWriteItem } from "../transaction/collector.ts"
import { getDynamoDBAwsSdkCollector, withDynamoDBAwsSdkTransaction } from "../transaction-storage.ts"
import { delay, NOW, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, event, holding, item, named } from "./outbox.fixture.ts"

useFakeClock()

const never = () => new Promise(() => {})

it.each([
  ["a message that is an object", { code: 7 }, "{ code: 7 }"],
  ["a message that is a number", 7, "7"],
  ["no message", undefined, "Error without a message"],
])("an error with %s is a failure like any other", async (_, message, stored) => {
  const all = createOutbox(holding(item("e1")))
  all.onEvent(async () => {
    throw Object.assign(new Error(), { message })
  })
  all.start()
  await pass(100)
  expect(all.inputsOf("fail")[0]?.ExpressionAttributeValues[":set_lastError"]).toBe(stored)
  expect(all.errors).toHaveLength(1)
  await all.outbox.stop()
})

it("a handler that changes its event does not change what becomes of it", async () => {
  const all = createOutbox(holding(item("e1", { retryCount: 4 })))
  all.onEvent(async (given) => {
    Object.assign(given, { occurredAt: given.occurredAt.toISOString() })
    throw new Error("boom")
  })
  all.start()
  await pass(100)
  expect(all.inputsOf("fail")[0]?.ExpressionAttributeValues[":set_gsiSortKey"]).toBe(NOW - 60_000)
  await all.outbox.stop()
})

it("a start within a transaction does not make handlers emit into it", async () => {
  const all = createOutbox(holding(item("e1")), { getCollector: getDynamoDBAwsSdkCollector() })
  all.onEvent(() => all.outbox.publish([event("e2")]))
  await withDynamoDBAwsSdkTransaction(async () => all.start())
  await pass(100)
  expect(all.inputsOf("publish")).toHaveLength(1)
  await all.outbox.stop()
})

it.each(["start", "wake"] as const)(
  "a %s within a transaction of the user's own AsyncLocalStorage does not make handlers emit into it",
  async (call) => {
    const transactions = new AsyncLocalStorage<TransactWriteItem[]>()
    const all = createOutbox(
      { ...holding(item("e1")), due: (_, call) => ({ Items: call === 1 ? [item("e1")] : [] }) },
      { getCollector: () => transactions.getStore(), pollIntervalMs: 500 },
    )
    all.onEvent(() => all.outbox.publish([event("e2")]))
    const items: TransactWriteItem[] = []
    if (call === "wake") all.start()
    await pass(10)
    transactions.run(items, () => (call === "start" ? all.start() : all.outbox.wake()))
    await pass(1000)
    expect(all.handled).toEqual(["e1"])
    expect(items).toEqual([])
    expect(all.inputsOf("publish")).toHaveLength(1)
    await all.outbox.stop()
  },
)

it.each([
  ["is not moved while a failure is written: its condition names the lease", "fail", []],
  ["is kept while a success is written, so that nobody delivers the event again", "complete", ["e2"]],
] as const)("a lease %s", async (_, step, renewed) => {
  // The second one waits its turn, so that its lease has expired before the handler's own time.
  const all = createOutbox({ ...holding(item("e1"), item("e2")), fail: never, complete: never })
  all.onEvent(async ({ id }) => {
    if (id === "e1") await delay(5000)
    if (step === "fail") throw new Error("boom")
  })
  all.start()
  await pass(25_000)
  expect(all.inputsOf(step).map(({ Key }) => Key.id)).toContain("e2")
  expect(all.inputsOf("renew").map(({ Key }) => Key.id)).toEqual(renewed)
  const stopped = all.outbox.stop()
  await pass(20_000)
  await stopped
})

it("an item whose recovery DynamoDB refuses is reported with its id, and the others are recovered", async () => {
  const stuck = ["bad", "good"].map((id) => item(id, { status: "active" }))
  const all = createOutbox({
    stuck: (_, call) => (call === 0 ? { Items: stuck } : {}),
    recover: ({ Key }) => (Key.id === "bad" ? Promise.reject(named("ValidationException")) : {}),
  })
  all.start()
  await pass(5000)
  expect(all.errors.map(({ message }) => message).sort()).toEqual([
    'Could not recover event "bad"',
    "Event handler failed: Processing timeout",
  ])
  expect(all.inputsOf("stuck")).toHaveLength(1)
  await all.outbox.stop()
})

it("a stop does not cut off what an operator has asked for", async () => {
  let answer: (value: object) => void = () => {}
  const all = createOutbox({
    failed: () =>
      new Promise((resolve) => {
        answer = resolve
      }),
  })
  all.start()
  const listed = all.outbox.getFailedEvents()
  const stopped = all.outbox.stop()
  await pass(8000)
  await stopped
  answer({ Items: [item("e1", { status: "failed" })] })
  expect(await listed).toMatchObject([{ id: "e1" }])
})
