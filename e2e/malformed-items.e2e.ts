/** Items that can't be read as events are set aside as failed with the reason; the events behind them are delivered. */
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import type { AttributeValue } from "@aws-sdk/client-dynamodb"
import { describe, expect, onTestFinished, test } from "vitest"
import { OUTBOX_DIAGNOSTICS_CHANNEL, type OutboxDiagnostic } from "../src/index.ts"
import { someEvents } from "./fixture/events.ts"
import { createTable, type Projection } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { startWorker } from "./fixture/worker.ts"

type RawItem = Record<string, AttributeValue>

const without = (item: RawItem, name: string): RawItem =>
  Object.fromEntries(Object.entries(item).filter(([key]) => key !== name))

const READABLE: RawItem = {
  id: { S: "bad" },
  type: { S: "order.placed" },
  payload: { M: {} },
  occurredAt: { S: "2024-01-01T00:00:00.000Z" },
  status: { S: "created" },
  retryCount: { N: "0" },
  gsiSortKey: { N: "1" },
}
const STUCK: RawItem = { ...READABLE, status: { S: "active" }, startedOn: { N: "1" } }

const HUGE = "9007199254740993.5"

const MALFORMED: Record<string, [item: RawItem, reason: RegExp]> = {
  "no type": [without(READABLE, "type"), /type is undefined/],
  "a type that is no string": [{ ...READABLE, type: { N: "7" } }, /type is /],
  "no occurredAt": [without(READABLE, "occurredAt"), /occurredAt is undefined/],
  "an unreadable date": [{ ...READABLE, occurredAt: { S: "yesterday" } }, /occurredAt is 'yesterday'/],
  "a date that is a number": [
    { ...READABLE, occurredAt: { N: "1700000000000" } },
    /occurredAt is 1700000000000/,
  ],
  "a number in the payload that JavaScript can't hold": [
    { ...READABLE, payload: { M: { lines: { L: [{ N: HUGE }] } } } },
    /payload.* the number 9007199254740993\.5/,
  ],
  "such a number in a set": [
    { ...READABLE, payload: { NS: ["1", HUGE] } },
    /payload.* the number 9007199254740993\.5/,
  ],
  "such a number in the metadata": [
    { ...READABLE, metadata: { M: { n: { N: HUGE } } } },
    /metadata.* the number 9007/,
  ],
  "a retryCount that is a string": [{ ...READABLE, retryCount: { S: "many" } }, /retryCount is 'many'/],
  "a negative retryCount": [{ ...READABLE, retryCount: { N: "-1" } }, /retryCount is -1/],
  "a retryCount that is no whole number": [{ ...READABLE, retryCount: { N: "1.5" } }, /retryCount is 1\.5/],
  "a retryCount that JavaScript can't hold": [{ ...READABLE, retryCount: { N: HUGE } }, /retryCount/],
  "an active one without payload": [without(STUCK, "payload"), /payload is missing/],
  "an active one without type": [without(STUCK, "type"), /type is undefined/],
  "an active one with an unreadable date": [{ ...STUCK, occurredAt: { S: "?" } }, /occurredAt is '\?'/],
  "an active one without occurredAt": [without(STUCK, "occurredAt"), /occurredAt is undefined/],
  "an active one whose date is a number": [
    { ...STUCK, occurredAt: { N: "1700000000000" } },
    /occurredAt is 1700000000000/,
  ],
  "one with neither a date nor a sort key that is a time": [
    { ...without(READABLE, "occurredAt"), gsiSortKey: { N: "-8700000000000000" } },
    /occurredAt is undefined/,
  ],
  "an active one with neither": [
    { ...without(STUCK, "occurredAt"), gsiSortKey: { N: "-1E30" } },
    /occurredAt is undefined/,
  ],
  "an active one with an unreadable date at its last attempt": [
    { ...STUCK, occurredAt: { S: "?" }, gsiSortKey: { N: "-1E30" }, retryCount: { N: "4" } },
    /occurredAt is '\?'/,
  ],
  "an active one with such a number": [
    { ...STUCK, payload: { M: { n: { N: HUGE } } } },
    /payload.* the number 9007/,
  ],
}

const OUTCOMES = new Set<OutboxDiagnostic["what"]>(["retried", "dead-lettered", "recovered"])

/** What is told of a table from now on. */
function diagnosticsOf({ tableName }: { tableName: string }): OutboxDiagnostic[] {
  const told: OutboxDiagnostic[] = []
  const listen = (message: unknown) => {
    if ((message as OutboxDiagnostic).tableName === tableName) told.push(message as OutboxDiagnostic)
  }
  subscribe(OUTBOX_DIAGNOSTICS_CHANNEL, listen)
  onTestFinished(() => void unsubscribe(OUTBOX_DIAGNOSTICS_CHANNEL, listen))
  return told
}

describe.each<Projection>(["ALL", "KEYS_ONLY"])("index %s", (projection) => {
  test.each(Object.entries(MALFORMED))("%s", async (_name, [item, reason]) => {
    const table = await createTable({ projection })
    await table.putRaw(item)
    const told = diagnosticsOf(table)
    const worker = startWorker(table)
    await worker.outbox.publish(someEvents(2))
    await until("the events behind it are delivered", () => worker.delivered.length === 2)
    expect(worker.deliveredIds).toEqual(["event-0", "event-1"])

    const [failed] = await until("it is listed", async () => {
      const listed = await worker.outbox.getFailedEvents()
      return listed.length === 1 && listed
    })
    expect(failed?.id).toBe("bad")
    expect(failed?.error).toMatch(reason)
    await until("it is reported", () => worker.errors.length > 0)
    await worker.outbox.stop()
    expect(worker.errors.map(({ name }) => name)).toEqual(["ValidationError"])
    expect(worker.errors[0]?.message).toMatch(reason)
    expect(worker.errors[0]?.context).toMatchObject({ event: { id: "bad" } })
    const outcomes = told.flatMap(({ what }) => (OUTCOMES.has(what) ? [what] : []))
    const isStuck = item.status?.S === "active"
    expect(outcomes).toEqual([...(isStuck ? ["recovered"] : []), "dead-lettered"])
  })
})

test.each(["-1E30", "-8700000000000000.5", "-1", "0", "0.5", "9007199254740991.5E-5"])(
  "one with the sort key %s is delivered, claimed or not",
  async (gsiSortKey) => {
    const table = await createTable({ projection: "KEYS_ONLY" })
    await table.putRaw({ ...READABLE, id: { S: "created" }, gsiSortKey: { N: gsiSortKey } })
    await table.putRaw({ ...STUCK, id: { S: "active" }, gsiSortKey: { N: gsiSortKey } })
    const worker = startWorker(table)
    await until("both are completed", async () =>
      (await table.all()).every(({ status }) => status === "completed"),
    )
    expect([...worker.deliveredIds].sort()).toEqual(["active", "created"])
  },
)

test.each([{ S: "many" }, { N: "-3" }, { N: "1E30" }, { N: "1.5" }])(
  "an active one with the retryCount %o is recovered",
  async (retryCount) => {
    const table = await createTable({ projection: "KEYS_ONLY" })
    await table.putRaw({ ...STUCK, retryCount })
    const worker = startWorker(table)
    await until("it is settled", async () =>
      ["completed", "failed"].includes((await table.read("bad"))?.status),
    )
    expect(worker.errors.map(({ name }) => name)).not.toContain("MaintenanceError")
  },
)

test("an active one with a bad retryCount is counted from 0 when it is recovered, which repairs it", async () => {
  const table = await createTable()
  await table.putRaw({ ...STUCK, retryCount: { S: "many" } })
  const worker = startWorker(table)
  await until("it is completed", async () => (await table.read("bad"))?.status === "completed")
  expect(await table.read("bad")).toMatchObject({ retryCount: 1, lastError: "Processing timeout" })
  expect(worker.deliveredIds).toEqual(["bad"])
})

test("a malformed item that was repaired is delivered when it is re-driven", async () => {
  const table = await createTable()
  await table.putRaw(without(READABLE, "type"))
  const worker = startWorker(table)
  await until("it is set aside", async () => (await table.read("bad"))?.status === "failed")
  await table.set("bad", { type: "order.placed" })
  await worker.outbox.retryEvents(["bad"])
  await until("it is completed", async () => (await table.read("bad"))?.status === "completed")
  expect(worker.delivered).toMatchObject([{ id: "bad", type: "order.placed" }])
})
