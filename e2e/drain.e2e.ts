/** Delivery on demand: what a drain delivers, when it ends, and what it leaves behind. */
import { fork } from "node:child_process"
import { once } from "node:events"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import type { BusEvent, OutboxError } from "outbox-event-bus"
import { OperationalError, OutboxEventBus, ValidationError } from "outbox-event-bus"
import { expect, onTestFinished, test } from "vitest"
import { type DrainBounds, type DynamoDBAwsSdkOutbox, getHandlerContext } from "../src/index.ts"
import { someEvent, someEvents } from "./fixture/events.ts"
import { createTable, endpoint, newClient, type TestTable } from "./fixture/table.ts"
import { closedGate, until } from "./fixture/until.ts"
import { recordRequests } from "./fixture/wire.ts"
import { type OutboxOptions, outboxOn } from "./fixture/worker.ts"

/** An outbox whose handlers are handed over; `delivered` counts how often each event was started with. */
function drained(table: TestTable, options: OutboxOptions & { handler?: (event: BusEvent) => unknown } = {}) {
  const { handler, ...outboxOptions } = options
  const outbox = outboxOn(table, { polling: false, ...outboxOptions })
  const delivered: string[] = []
  const errors: OutboxError[] = []
  outbox.start(
    async (event) => {
      delivered.push(event.id)
      await handler?.(event)
    },
    (error) => void errors.push(error),
  )
  onTestFinished(() => outbox.stop())
  return { outbox, delivered, errors }
}

async function statuses(table: TestTable): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { status } of await table.all()) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

async function publish(table: TestTable, events: BusEvent[]): Promise<void> {
  const outbox = outboxOn(table)
  for (let i = 0; i < events.length; i += 100) await outbox.publish(events.slice(i, i + 100))
}

const result = { delivered: 0, retried: 0, deadLettered: 0, released: 0 }

test("delivers all that is due, each once, and returns", async () => {
  const table = await createTable()
  await publish(table, someEvents(300))
  const { outbox, delivered } = drained(table, { concurrency: 20, handler: () => delay(5) })
  expect(await outbox.drain()).toEqual({ ...result, delivered: 300, reason: "empty" })
  expect(new Set(delivered).size).toBe(300)
  expect(delivered).toHaveLength(300)
  expect(await statuses(table)).toEqual({ completed: 300 })
})

test("with concurrency 1 delivers in order, and what handlers emit, too", async () => {
  const table = await createTable()
  await publish(table, someEvents(20))
  const publisher = outboxOn(table)
  const { outbox, delivered } = drained(table, {
    handler: async ({ id }) => {
      if (id === "event-19") await publisher.publish([someEvent({ id: "follow-up" })])
    },
  })
  expect(await outbox.drain()).toEqual({ ...result, delivered: 21, reason: "empty" })
  expect(delivered).toEqual([...someEvents(20).map(({ id }) => id), "follow-up"])
})

test("an empty table costs at most three requests", async () => {
  const client = newClient()
  const requests = recordRequests(client)
  const { outbox } = drained(await createTable(), { client })
  expect(await outbox.drain()).toEqual({ ...result, reason: "empty" })
  expect(requests.length).toBeLessThanOrEqual(3)
})

test("leaves what has become due lately to the stream, and ends although events keep coming", async () => {
  const table = await createTable()
  const publisher = outboxOn(table)
  await publisher.publish([someEvent({ id: "old" })])
  let count = 0
  const { outbox, delivered } = drained(table, {
    handler: () => publisher.publish([someEvent({ id: `new-${count++}`, occurredAt: new Date() })]),
  })
  expect(await outbox.drain({ dueForMs: 30_000 })).toEqual({ ...result, delivered: 1, reason: "empty" })
  expect(delivered).toEqual(["old"])
  expect(await statuses(table)).toEqual({ completed: 1, created: 1 })
})

test("counts failures by what became of them, and events of workers that died", async () => {
  const table = await createTable()
  await publish(table, [
    someEvent({ id: "fine" }),
    someEvent({ id: "fails" }),
    someEvent({ id: "is done for" }),
  ])
  await table.set("is done for", { retryCount: 4 })
  await publish(table, [someEvent({ id: "abandoned" })])
  await table.set("abandoned", { status: "active", startedOn: 1, claimToken: "of the dead", gsiSortKey: 1 })
  const { outbox, errors } = drained(table, {
    baseBackoffMs: 60_000,
    handler: ({ id }) => {
      if (id !== "fine") throw new Error("no")
    },
  })
  expect(await outbox.drain()).toEqual({
    ...result,
    delivered: 1,
    retried: 2,
    deadLettered: 1,
    reason: "empty",
  })
  expect(errors).toHaveLength(3)
  expect(await statuses(table)).toEqual({ completed: 1, created: 2, failed: 1 })
})

test("maxEvents: starts so many handlers, and leaves the others unclaimed", async () => {
  const table = await createTable()
  await publish(table, someEvents(30))
  const { outbox, delivered } = drained(table, { concurrency: 5 })
  expect(await outbox.drain({ maxEvents: 12 })).toMatchObject({ delivered: 12, reason: "limit" })
  expect(delivered).toHaveLength(12)
  expect(await statuses(table)).toEqual({ completed: 12, created: 18 })
})

test.each<[string, () => DrainBounds["deadline"]]>([
  ["a Date", () => new Date(Date.now() + 2000)],
  [
    "a function",
    () => {
      const end = Date.now() + 2000
      return () => end - Date.now()
    },
  ],
])(
  "a deadline given as %s: starts nothing that would not end in time, and leaves nothing claimed",
  async (_, deadline) => {
    const table = await createTable()
    await publish(table, someEvents(200))
    const { outbox, delivered } = drained(table, { handler: () => delay(50) })
    const { delivered: count, reason, released } = await outbox.drain({ deadline: deadline() })
    expect(reason).toBe("deadline")
    expect(count).toBe(delivered.length)
    expect(count).toBeGreaterThan(0)
    expect(await statuses(table)).toEqual({ completed: count, created: 200 - count })
    expect(released).toBeGreaterThan(0)
    const events = await table.all()
    expect(events.every(({ retryCount }) => retryCount === 0)).toBe(true)
  },
)

test("takes the longest of the last durations for the measure: nothing starts that can't end", async () => {
  const table = await createTable()
  await publish(table, someEvents(3))
  const { outbox, delivered } = drained(table, { handler: () => delay(800) })
  await outbox.drain({ maxEvents: 1 })
  // It would have time for a handler that is instant, but not for one such as before.
  const deadline = new Date(Date.now() + 1200)
  expect(await outbox.drain({ deadline })).toMatchObject({ delivered: 0, reason: "deadline" })
  expect(delivered).toHaveLength(1)
  // One that could start nothing forgets the measure: it may have been that of a process that was suspended.
  expect(await outbox.drain({ maxEvents: 1, deadline: new Date(Date.now() + 3000) })).toMatchObject({
    delivered: 1,
  })
})

test("a handler that outlasts the deadline is told, and not waited for; it is the only one left claimed", async () => {
  const table = await createTable()
  await publish(table, someEvents(5))
  const gate = closedGate()
  let reason: unknown
  const { outbox } = drained(table, {
    handler: async () => {
      getHandlerContext()?.signal.addEventListener("abort", (event) => {
        reason = (event.target as AbortSignal).reason?.context.reason
      })
      await gate.passed
    },
  })
  const drain = await outbox.drain({ deadline: new Date(Date.now() + 1500) })
  expect(drain).toMatchObject({ delivered: 0, reason: "deadline" })
  expect(reason).toBe("stopping")
  expect(await statuses(table)).toEqual({ active: 1, created: 4 })
  // Where the process goes on, its result is written.
  gate.open()
  await until("it is settled", async () => (await statuses(table)).completed === 1)
})

test("a handler that rejects with the reason has its event released, uncounted", async () => {
  const table = await createTable()
  await publish(table, [someEvent({ id: "one" })])
  const { outbox } = drained(table, {
    handler: () =>
      new Promise((_, reject) => {
        const signal = getHandlerContext()?.signal
        signal?.addEventListener("abort", () => reject(signal.reason))
      }),
  })
  const drain = await outbox.drain({ deadline: new Date(Date.now() + 1500) })
  expect(drain).toMatchObject({ released: 1, retried: 0, reason: "deadline" })
  expect(await table.read("one")).toMatchObject({ status: "created", retryCount: 0 })
})

test("a signal ends it: what runs is waited for, what waits is released", async () => {
  const table = await createTable()
  await publish(table, someEvents(20))
  const controller = new AbortController()
  const gate = closedGate()
  const { outbox, delivered } = drained(table, { concurrency: 2, handler: () => gate.passed })
  const drain = outbox.drain({ signal: controller.signal })
  await until("two run", () => delivered.length === 2)
  controller.abort()
  gate.open()
  expect(await drain).toMatchObject({ delivered: 2, reason: "aborted" })
  expect(await statuses(table)).toEqual({ completed: 2, created: 18 })
  expect(await outbox.drain({ signal: controller.signal })).toEqual({ ...result, reason: "aborted" })
})

test("an unreachable database rejects, with and without a deadline", async () => {
  const client = new DynamoDBClient({
    endpoint: "http://127.0.0.1:1",
    region: "local",
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  })
  const { outbox } = drained(await createTable(), { client })
  await expect(outbox.drain()).rejects.toThrow(/^Could not drain: can't read table "outbox-/)
  await expect(outbox.drain({ deadline: () => 5000 })).rejects.toBeInstanceOf(OperationalError)
})

test("a database that does not respond rejects by the deadline", async () => {
  const { outbox } = drained(await createTable(), {
    client: newClient({ requestHandler: { handle: () => new Promise(() => {}) } }),
  })
  await expect(outbox.drain({ deadline: new Date(Date.now() + 1000) })).rejects.toThrow(/^Could not drain/)
})

test("two drains at once share the work", async () => {
  const table = await createTable()
  await publish(table, someEvents(100))
  const { outbox, delivered } = drained(table, { concurrency: 3, handler: () => delay(2) })
  const drains = await Promise.all([outbox.drain(), outbox.drain()])
  expect(drains.map(({ delivered: count }) => count).reduce((a, b) => a + b)).toBe(100)
  expect(drains.every(({ delivered: count }) => count > 0)).toBe(true)
  expect(new Set(delivered).size).toBe(100)
  expect(delivered).toHaveLength(100)
})

test("stop() ends it, and there is no drain without handlers, with a poll loop, or inside a handler", async () => {
  const table = await createTable()
  await publish(table, someEvents(10))
  const gate = closedGate()
  const { outbox, delivered } = drained(table, { handler: () => gate.passed })
  const drain = outbox.drain()
  await until("one runs", () => delivered.length === 1)
  const stopped = outbox.stop()
  gate.open()
  await stopped
  expect(await drain).toMatchObject({ delivered: 1, reason: "aborted" })
  await expect(outbox.drain()).rejects.toThrow("There are no handlers to deliver to")

  await expect(outboxOn(table).drain()).rejects.toThrow(
    "drain() and the stream handler are for an outbox with the option polling: false",
  )
  const inside: { outbox?: DynamoDBAwsSdkOutbox; error?: unknown } = {}
  const nested = drained(table, {
    handler: async () => {
      inside.error ??= await inside.outbox?.drain().catch((error: unknown) => error)
    },
  })
  inside.outbox = nested.outbox
  await nested.outbox.drain()
  expect(inside.error).toMatchObject({ message: expect.stringContaining("A handler can't drain the outbox") })
})

test.each<[string, DrainBounds]>([
  ["maxEvents", { maxEvents: 0 }],
  ["maxEvents", { maxEvents: 1.5 }],
  ["deadline", { deadline: new Date(Number.NaN) }],
  ["deadline", { deadline: (() => "soon") as never }],
  ["deadline", { deadline: 1000 as never }],
  ["signal", { signal: {} as never }],
])("refuses a %s that is none", async (name, bounds) => {
  const { outbox } = drained(await createTable())
  await expect(outbox.drain(bounds)).rejects.toThrow(`Invalid ${name}: `)
  await expect(outbox.drain(bounds)).rejects.toBeInstanceOf(ValidationError)
})

test("works through a bus, whose start hands over the handlers and begins nothing", async () => {
  const table = await createTable()
  const client = newClient()
  const requests = recordRequests(client)
  const outbox = outboxOn(table, { client, polling: false })
  const bus = new OutboxEventBus(outbox, () => {})
  const delivered: string[] = []
  bus.on("order.placed", async ({ id }) => void delivered.push(id))
  bus.start()
  onTestFinished(() => bus.stop())
  expect(requests).toEqual([])
  await publish(table, [someEvent({ id: "one" })])
  expect(await outbox.drain()).toMatchObject({ delivered: 1 })
  expect(delivered).toEqual(["one"])
})

test("a process that was frozen for longer than the lease delivers only what it still holds", async () => {
  const table = await createTable()
  await publish(table, someEvents(30))
  const script = fileURLToPath(new URL("fixture/draining-process.ts", import.meta.url))
  const frozen = fork(script, [endpoint(), table.tableName], { execArgv: ["--import", "tsx"] })
  onTestFinished(() => void frozen.kill("SIGKILL"))
  const seen: string[] = []
  const startedByFrozen = new Promise<void>((resolve) => {
    frozen.on("message", (message: { started?: string }) => {
      if (message.started) seen.push(message.started)
      if (seen.length === 3) resolve()
    })
  })
  await startedByFrozen
  frozen.kill("SIGSTOP")
  const leases = async () => (await table.all()).filter(({ status }) => status === "active")
  await until("its leases have expired", async () =>
    (await leases()).every(({ gsiSortKey }) => gsiSortKey < Date.now()),
  )
  const held = new Set((await leases()).map(({ id }) => id))
  const { outbox, delivered } = drained(table, {
    processingTimeoutMs: 1000,
    concurrency: 10,
    baseBackoffMs: 0,
  })
  await until("all others are delivered", async () => {
    await outbox.drain()
    return (await statuses(table)).completed === 30
  })
  const before = seen.length
  frozen.kill("SIGCONT")
  const [message] = (await once(frozen, "message")) as [{ started?: string; result?: object }]
  // The handlers that were running end; what was only claimed has been taken over, and does not start.
  expect(message.result ?? message).toMatchObject({ reason: expect.any(String) })
  expect(seen.length).toBe(before)
  expect(delivered.filter((id) => seen.includes(id) && !held.has(id))).toEqual([])
})
