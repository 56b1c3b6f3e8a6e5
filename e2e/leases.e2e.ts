/** Leases follow the work: what waits and what runs in time keeps its claim; what outlives it, or stood still, does not. */
import { setTimeout as delay } from "node:timers/promises"
import { expect, onTestFinished, test } from "vitest"
import { startWorkerProcess } from "../packages/dynamodb-dev/src/index.ts"
import { someEvent, someEvents } from "./fixture/events.ts"
import { createTable, endpoint, newClient, type TestTable } from "./fixture/table.ts"
import { closedGate, until } from "./fixture/until.ts"
import { intercept } from "./fixture/wire.ts"
import { outboxOn, startWorker, type Worker } from "./fixture/worker.ts"

const LEASE_MS = 1200
const TEST_MS = 60_000

const statusIs = (table: TestTable, id: string, status: string) => async () => {
  const item = await table.read(id)
  return item?.status === status && item
}

const timeouts = (...workers: Worker[]) =>
  workers.flatMap(({ errors }) => errors).filter(({ message }) => message.includes("Processing timeout"))

test("a handler has its whole processingTimeoutMs, however long its event has waited", {
  timeout: TEST_MS,
}, async () => {
  const table = await createTable()
  const lease = 3000
  const owner = startWorker(table, { processingTimeoutMs: lease, handler: () => delay(0.7 * lease) })
  await outboxOn(table).publish(someEvents(2))
  await until("the first one runs", () => owner.delivered.length === 1)
  await until("the second one waits, claimed", statusIs(table, "event-1", "active"))
  const rival = startWorker(table, { processingTimeoutMs: lease })
  // Claimed 1.4 leases ago by then.
  await until("the second one is completed", statusIs(table, "event-1", "completed"))
  expect(owner.deliveredIds).toEqual(["event-0", "event-1"])
  expect(rival.delivered).toEqual([])
  expect([...owner.errors, ...rival.errors]).toEqual([])
})

test("a clock that is fast by what processingTimeoutMs allows for takes no claim away", {
  timeout: TEST_MS,
}, async () => {
  const table = await createTable()
  const difference = 400
  const handlerMs = 1500
  const processingTimeoutMs = handlerMs + 4 * difference
  const owner = startWorker(table, { processingTimeoutMs, handler: () => delay(handlerMs) })
  await outboxOn(table).publish(someEvents(3))
  await until("it runs the first one", () => owner.delivered.length === 1)
  const messages: unknown[] = []
  const fast = startWorkerProcess({
    entry: new URL("./fixture/gated-worker.ts", import.meta.url),
    args: [endpoint(), table.tableName, String(processingTimeoutMs)],
    execArgv: ["--import", "tsx"],
    clockOffsetMs: difference,
    onMessage: (message) => {
      messages.push(message)
      fast.send("end handler")
    },
  })
  onTestFinished(() => void fast.kill())
  await until("all are completed", async () =>
    (await table.all()).every(({ status }) => status === "completed"),
  )
  for (const item of await table.all()) expect(item.retryCount).toBe(0)
  // The third one may be either's; nothing is both's, and no lease was found over.
  const ofFast = messages.flatMap((message) => (message as { delivered?: string }).delivered ?? [])
  expect([...owner.deliveredIds, ...ofFast].toSorted()).toEqual(["event-0", "event-1", "event-2"])
  expect(messages.filter((message) => "error" in (message as object))).toEqual([])
})

/** An event whose first handler exceeds its timeout; it is let go when the second one runs, or has ended. */
async function outlived(firstEnds: "succeeds" | "fails", secondEnds: "succeeds" | "fails") {
  const table = await createTable()
  const gates = { first: closedGate(), second: closedGate() }
  const endAs = async (how: "succeeds" | "fails", gate: { passed: Promise<void> }) => {
    await gate.passed
    if (how === "fails") throw new Error(`${how} late`)
  }
  const options = { processingTimeoutMs: LEASE_MS, baseBackoffMs: 1, maxRetries: 3 }
  const first = startWorker(table, { ...options, handler: () => endAs(firstEnds, gates.first) })
  await outboxOn(table).publish([someEvent({ id: "long" })])
  await until("it runs", () => first.delivered.length === 1)
  const second = startWorker(table, {
    ...options,
    processingTimeoutMs: 4 * LEASE_MS,
    handler: () => endAs(secondEnds, gates.second),
  })
  await until("another worker has taken it over", () => {
    second.outbox.wake()
    return second.delivered.length === 1
  })
  return { table, first, second, gates }
}

test("a handler that exceeds its timeout and succeeds settles the event, whatever its new owner does", {
  timeout: TEST_MS,
}, async () => {
  const { table, first, second, gates } = await outlived("succeeds", "fails")
  gates.first.open()
  await until("it is completed", statusIs(table, "long", "completed"))
  gates.second.open()
  await until("the second failure is reported", () =>
    second.errors.some(({ message }) => message.includes("fails late")),
  )
  await second.outbox.stop()
  const item = await table.read("long")
  expect(item).toMatchObject({ status: "completed", retryCount: 1 })
  expect(item).not.toHaveProperty("gsiSortKey")
  expect(timeouts(first, second)).toHaveLength(1)
  expect(await outboxOn(table).getFailedEvents()).toEqual([])
})

test("a handler that exceeds its timeout and fails counts nothing and takes nothing from the new owner", {
  timeout: TEST_MS,
}, async () => {
  const { table, first, second, gates } = await outlived("fails", "succeeds")
  const before = await table.read("long")
  gates.first.open()
  await until("its failure is reported", () =>
    first.errors.some(({ message }) => message.includes("fails late")),
  )
  expect(await table.read("long")).toEqual(before)
  gates.second.open()
  await until("it is completed", statusIs(table, "long", "completed"))
  expect(await table.read("long")).toMatchObject({ retryCount: 1 })
  expect(timeouts(first, second)).toHaveLength(1)
  expect(first.errors.filter(({ message }) => message.includes("fails late"))).toHaveLength(1)
})

test("a handler that fails after its event was completed by another changes nothing", {
  timeout: TEST_MS,
}, async () => {
  const { table, first, second, gates } = await outlived("fails", "succeeds")
  gates.second.open()
  const completed = await until("it is completed", statusIs(table, "long", "completed"))
  gates.first.open()
  await until("its failure is reported", () =>
    first.errors.some(({ message }) => message.includes("fails late")),
  )
  await first.outbox.stop()
  expect(await table.read("long")).toEqual(completed)
  expect(second.deliveredIds).toEqual(["long"])
})

test("a claim whose answer comes after its lease has expired is not delivered", {
  timeout: TEST_MS,
}, async () => {
  const table = await createTable()
  const gate = closedGate()
  const client = newClient()
  let isHeld = false
  intercept(client, async ({ step }, send) => {
    const answer = await send()
    if (step === "claim" && !isHeld) {
      isHeld = true
      await gate.passed
    }
    return answer
  })
  const late = startWorker(table, { client, processingTimeoutMs: LEASE_MS, pollIntervalMs: 3_600_000 })
  await outboxOn(table).publish([someEvent({ id: "contested" })])
  await until("it is claimed", () => {
    late.outbox.wake()
    return isHeld
  })
  const rival = startWorker(table, { processingTimeoutMs: LEASE_MS })
  await until("a rival has delivered it", statusIs(table, "contested", "completed"))
  gate.open()
  await late.outbox.stop()
  expect(late.delivered).toEqual([])
  expect(rival.deliveredIds).toEqual(["contested"])
})

test("a worker that was frozen and thaws does not deliver what it had only claimed", {
  timeout: TEST_MS,
}, async () => {
  const table = await createTable()
  const messages: Array<{ delivered?: string; ended?: string }> = []
  const frozen = startWorkerProcess({
    entry: new URL("./fixture/gated-worker.ts", import.meta.url),
    args: [endpoint(), table.tableName, String(LEASE_MS)],
    execArgv: ["--import", "tsx"],
    onMessage: (message) => messages.push(message as (typeof messages)[number]),
  })
  onTestFinished(() => void frozen.kill())
  const delivered = () => messages.flatMap((message) => message.delivered ?? [])
  await outboxOn(table).publish(someEvents(2))
  await until("it runs the first one", () => delivered().length === 1)
  await until("the second one waits, claimed", statusIs(table, "event-1", "active"))
  frozen.freeze()

  const rival = startWorker(table, { processingTimeoutMs: LEASE_MS })
  await until("a rival has delivered both", () => rival.delivered.length === 2)
  await until("the second one is completed", statusIs(table, "event-1", "completed"))
  // It thaws with its handler about to end, and the second one next in its queue.
  frozen.send("end handler")
  frozen.thaw()
  await until("its handler has ended", () => messages.some(({ ended }) => ended === "event-0"))
  await rival.outbox.stop()
  // It is alive and well: it delivers the next one, having passed over the one it had claimed.
  await outboxOn(table).publish([someEvent({ id: "next" })])
  await until("it delivers the next one", () => delivered().includes("next"))
  expect(delivered()).toEqual(["event-0", "next"])
})
