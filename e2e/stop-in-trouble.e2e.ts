/** stop() with a database that fails, stalls or is gone: it ends within a bounded time, and harms no event. */
import { setTimeout as delay } from "node:timers/promises"
import { expect, onTestFinished, test } from "vitest"
import {
  clientFor,
  type FaultyProxy,
  injectFaults,
  startFaultyProxy,
} from "../packages/dynamodb-dev/src/index.ts"
import { someEvent, someEvents } from "./fixture/events.ts"
import { createTable, endpoint, newClient } from "./fixture/table.ts"
import { closedGate, until } from "./fixture/until.ts"
import { intercept } from "./fixture/wire.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

/** A few seconds for the database, and as much again for a busy machine. */
const BOUND_MS = 12_000
const TEST_MS = 60_000

async function newProxy(): Promise<FaultyProxy> {
  const proxy = await startFaultyProxy(endpoint())
  onTestFinished(() => proxy.stop())
  return proxy
}

function clientBehind(proxy: FaultyProxy) {
  const client = clientFor(proxy.endpoint)
  onTestFinished(() => client.destroy())
  return client
}

async function expectToEndInTime(stopped: Promise<void>): Promise<void> {
  const late = delay(BOUND_MS, "still not stopped", { ref: false })
  expect(await Promise.race([stopped.then(() => "stopped"), late])).toBe("stopped")
}

test("while a poll fails again and again", { timeout: TEST_MS }, async () => {
  const table = await createTable()
  const client = newClient()
  injectFaults(client, { seed: 1, throttle: 1 })
  const worker = startWorker(table, { client, maxErrorBackoffMs: 3_600_000, baseBackoffMs: 3_600_000 })
  await until("a poll has failed", () =>
    worker.errors.some(({ message }) => message === "Polling cycle failed"),
  )
  await expectToEndInTime(worker.outbox.stop())
})

test("while the SDK is between its attempts", { timeout: TEST_MS }, async () => {
  const table = await createTable()
  const client = newClient({ maxAttempts: 100 })
  const faults = injectFaults(client, { seed: 1, throttle: 1 })
  const worker = startWorker(table, { client })
  await until("it tries again", () => faults.counts.throttled > 2)
  await expectToEndInTime(worker.outbox.stop())
})

// A lease much longer than the bound: what a stop waits for must not depend on it.
const LONG_LEASE_MS = 600_000

test("while a query is not answered", { timeout: TEST_MS }, async () => {
  const table = await createTable()
  const proxy = await newProxy()
  const worker = startWorker(table, { client: clientBehind(proxy), processingTimeoutMs: LONG_LEASE_MS })
  await until("it polls", () => proxy.connections > 0)
  proxy.stall()
  await expectToEndInTime(worker.outbox.stop())
})

test("while claims are not answered: they are released when the database is there again, or end with their lease", {
  timeout: TEST_MS,
}, async () => {
  const table = await createTable()
  const proxy = await newProxy()
  const client = clientBehind(proxy)
  let claims = 0
  intercept(client, async ({ step }, send) => {
    if (step === "claim") {
      claims++
      proxy.stall("answers")
    }
    return send()
  })
  await outboxOn(table).publish(someEvents(5))
  const worker = startWorker(table, { client, processingTimeoutMs: LONG_LEASE_MS })
  await until("a claim is on its way", () => claims > 0)
  await expectToEndInTime(worker.outbox.stop())
  expect(worker.delivered).toEqual([])
  for (const item of await table.all()) expect(item.retryCount).toBe(0)
})

test("while the result of a handler can't be written", { timeout: TEST_MS }, async () => {
  const table = await createTable()
  const proxy = await newProxy()
  const gate = closedGate()
  const worker = startWorker(table, {
    client: clientBehind(proxy),
    processingTimeoutMs: LONG_LEASE_MS,
    handler: () => gate.passed,
  })
  await outboxOn(table).publish(someEvents(3))
  await until("its handler runs", () => worker.delivered.length === 1)
  proxy.stall()
  const stopped = worker.outbox.stop()
  gate.open()
  await expectToEndInTime(stopped)
  expect(worker.delivered).toHaveLength(1)
})

test("while many abandoned events are recovered one after the other over a connection that stalls", {
  timeout: TEST_MS,
}, async () => {
  const table = await createTable()
  const leaseEnd = Date.now() - 1000
  for (let i = 0; i < 40; i++) {
    const event = someEvent({ id: `stuck-${i}` })
    await table.put({
      ...event,
      occurredAt: event.occurredAt.toISOString(),
      status: "active",
      retryCount: 0,
      startedOn: leaseEnd - 1000,
      gsiSortKey: leaseEnd,
    })
  }
  const proxy = await newProxy()
  const client = clientBehind(proxy)
  let recoveries = 0
  intercept(client, async ({ step }, send) => {
    if (step === "recover") {
      recoveries++
      proxy.stall()
    }
    return send()
  })
  const worker = startWorker(table, { client, processingTimeoutMs: LONG_LEASE_MS })
  await until("it recovers", () => recoveries > 0)
  await expectToEndInTime(worker.outbox.stop())
})

test("in a database that throttles, what was only claimed is released as soon as that ends", {
  timeout: TEST_MS,
}, async () => {
  const table = await createTable()
  const client = newClient({ maxAttempts: 1 })
  const faults = injectFaults(client, { seed: 1, isOn: false, throttle: 1, operations: ["UpdateItem"] })
  const gate = closedGate()
  const worker = startWorker(table, {
    client,
    processingTimeoutMs: LONG_LEASE_MS,
    handler: () => gate.passed,
  })
  await worker.outbox.publish(someEvents(6))
  await until(
    "one runs and another is claimed ahead",
    async () => (await table.all()).filter(({ status }) => status === "active").length >= 2,
  )
  faults.on()
  const stopped = worker.outbox.stop()
  await until("a release is refused", () => faults.counts.throttled > 0)
  faults.off()
  await until(
    "they are released",
    async () => (await table.all()).filter(({ status }) => status === "active").length === 1,
  )
  gate.open()
  await expectToEndInTime(stopped)
  expect((await table.all()).map(({ status, retryCount }) => `${status} ${retryCount}`).toSorted()).toEqual([
    "completed 0",
    ...Array.from({ length: 5 }, () => "created 0"),
  ])
})
