/** What the metrics of a fleet count, all processes together, is what its table says: the same numbers, not about the same. */
import { expect, onTestFinished, test } from "vitest"
import { startWorkerProcess } from "../packages/dynamodb-dev/src/index.ts"
import { METRICS } from "../src/opentelemetry.ts"
import type { Measured, Order, Told } from "./fixture/metered-worker.ts"
import { createTable, endpoint, type Item, type TestTable } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"

/** The survivors' claims never expire by accident: what is recovered is the dead worker's. */
const LEASE_MS = { survives: 10_000, dies: 1000 }

function meteredWorker(table: TestTable, fate: keyof typeof LEASE_MS) {
  const state = { isReady: false, exports: 0, metrics: [] as Measured[] }
  const worker = startWorkerProcess({
    entry: new URL("./fixture/metered-worker.ts", import.meta.url),
    args: [endpoint(), table.tableName, String(LEASE_MS[fate]), fate],
    execArgv: ["--import", "tsx"],
    onMessage: (message) => {
      const told = message as Told
      if (told === "ready") {
        state.isReady = true
        return
      }
      state.metrics = told.metrics
      state.exports++
    },
  })
  onTestFinished(async () => void (await worker.kill()))
  return {
    state,
    worker,
    tell: (order: Order) => worker.send(order),
    /** Resolves when it has published, and has exported what it has counted so far. */
    async publish(prefix: string, count: number) {
      const { exports } = state
      worker.send({ publish: { prefix, count } } satisfies Order)
      await until("it has published", () => state.exports > exports)
    },
  }
}

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0)

/** The table's truth, for each type of event, in the terms of the metrics. */
function countsOf(items: Item[]) {
  const withStatus = (status: string) => items.filter((item) => item.status === status).length
  return {
    published: items.length,
    delivered: withStatus("completed"),
    failedAttempts: sum(items.map(({ retryCount }) => retryCount)),
    deadLetters: withStatus("failed"),
  }
}

/** Those numbers by the metrics of all processes. */
function countsBy(metrics: Measured[], type: string) {
  const count = (metric: string, where: (attributes: Measured["attributes"]) => boolean = () => true) =>
    sum(
      metrics
        .filter((measured) => measured.metric === metric)
        .filter(({ attributes }) => attributes["messaging.destination.name"] === type && where(attributes))
        .map((measured) => measured.count),
    )
  return {
    published: count(METRICS.sent),
    delivered: count(METRICS.processDuration, (attributes) => attributes["error.type"] === undefined),
    failedAttempts: count(METRICS.retried) + count(METRICS.deadLettered),
    deadLetters: count(METRICS.deadLettered),
    recovered: count(METRICS.recovered),
    consumed: count(METRICS.consumed),
    thrown: count(METRICS.processDuration, (attributes) => attributes["error.type"] === "Error"),
  }
}

test("a fleet with failing handlers, dead letters, and a worker that is killed", async () => {
  const table = await createTable()
  const survivors = Array.from({ length: 3 }, () => meteredWorker(table, "survives"))
  const victim = meteredWorker(table, "dies")
  const fleet = [...survivors, victim]
  await until("all are ready", () => fleet.every(({ state }) => state.isReady))

  // What the victim counts and exports in time is part of the sum; what it counts later is lost with it.
  await Promise.all(fleet.map(({ publish }, i) => publish(`first-${i}`, 30)))
  for (const { tell } of fleet) tell("start")
  // It dies of its first event, which may be long in coming while others work too.
  for (let round = 0; !victim.worker.hasEnded; round++) {
    await Promise.all(survivors.map(({ publish }, i) => publish(`round-${round}-${i}`, 6)))
  }
  expect(await victim.worker.ended).toMatchObject({ signal: "SIGKILL" })

  const items = await until("all are settled", async () => {
    const all = await table.all()
    return all.every(({ status }) => ["completed", "failed"].includes(status)) && all
  })
  for (const { tell } of survivors) tell("stop")
  for (const { worker } of survivors) expect(await worker.ended).toMatchObject({ code: 0, stderr: "" })

  const metrics = fleet.flatMap(({ state }) => state.metrics)
  for (const type of ["fine", "flaky", "broken"]) {
    const { recovered, consumed, thrown, ...counted } = countsBy(metrics, type)
    const truth = countsOf(items.filter((item) => item.type === type))
    expect(counted, type).toEqual(truth)
    // The handlers that the dead worker had started are nowhere counted; that its events were recovered is, by the others.
    expect(consumed, type).toBe(truth.delivered + truth.failedAttempts - recovered)
    expect(thrown, type).toBe(truth.failedAttempts - recovered)
  }
  const { deadLetters, delivered, failedAttempts } = countsOf(items)
  expect(deadLetters).toBeGreaterThanOrEqual(40)
  expect(delivered).toBe(items.length - deadLetters)
  expect(failedAttempts).toBeGreaterThan(4 * deadLetters)
  expect(
    sum(metrics.filter(({ metric }) => metric === METRICS.recovered).map(({ count }) => count)),
  ).toBeGreaterThan(0)
})
