/** The outbox for tests and the real one on an engine do the same: one scenario each, played on both, and compared. */
import { TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import { type BusEvent, type FailedBusEvent, type OutboxError, OutboxEventBus } from "outbox-event-bus"
import { expect, test } from "vitest"
import {
  type DynamoDBAwsSdkOutbox,
  type DynamoDBAwsSdkOutboxConfig,
  getDynamoDBAwsSdkCollector,
  type TransactWriteItem,
  withDynamoDBAwsSdkTransaction,
} from "../src/index.ts"
import { TestOutbox } from "../src/testing.ts"
import { createTable } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { outboxOn } from "./fixture/worker.ts"

const OCCURRED_AT = Date.now() - 60_000

/** What a scenario plays with, and what is written down of it. */
interface Stage {
  outbox: DynamoDBAwsSdkOutbox
  bus: OutboxEventBus<TransactWriteItem[]>
  commit(items: readonly TransactWriteItem[] | undefined): Promise<unknown>
  /** Resolves when so many events are settled: delivered or dead. */
  settled(count: number): Promise<void>
  /** Writes down what came of something that may be refused. */
  attempt(work: Promise<unknown>): Promise<void>
  log: unknown[]
}

type Scenario = (stage: Stage) => Promise<void>

async function play(
  scenario: Scenario,
  outbox: DynamoDBAwsSdkOutbox,
  commit: Stage["commit"],
  waitForIt: (settledAll: () => boolean) => Promise<void>,
): Promise<unknown[]> {
  const log: unknown[] = []
  let settledEvents = 0
  const settle = (entry: unknown[]) => {
    log.push(entry)
    settledEvents++
  }
  const bus = new OutboxEventBus<TransactWriteItem[]>(outbox, (error) => {
    const { id, retryCount } = (error as OutboxError & { event: Partial<FailedBusEvent> }).event
    const entry = [error.name, error.message, id, retryCount]
    if (error.name === "MaxRetriesExceededError") settle(entry)
    else log.push(entry)
  })
  bus.on("quick", async (event) => settle(["delivered", event]))
  const failures = new Map<string, number>()
  bus.on("failing", async ({ id, payload }) => {
    const failed = failures.get(id) ?? 0
    failures.set(id, failed + 1)
    if (failed < (payload as number)) throw new Error(`failure ${failed + 1}`)
    settle(["delivered", id])
  })
  const attempt = async (work: Promise<unknown>) => {
    log.push(
      await work.then(
        () => "done",
        ({ name, message, CancellationReasons: reasons }) =>
          reasons ? [name, reasons.map(({ Code }: { Code: string }) => Code)] : [name, message],
      ),
    )
  }
  const settled = (count: number) => waitForIt(() => settledEvents >= count)
  await scenario({ outbox, bus, commit, settled, attempt, log })
  await bus.stop()
  return log
}

const OPTIONS = { maxRetries: 3, tableName: "", getCollector: getDynamoDBAwsSdkCollector() }

async function compare(scenario: Scenario, options: Partial<DynamoDBAwsSdkOutboxConfig> = {}) {
  const table = await createTable()
  const { tableName } = table
  const real = outboxOn(table, { ...OPTIONS, ...options, tableName })
  const fromEngine = await play(
    scenario,
    real,
    (items) => table.documents.send(new TransactWriteCommand({ TransactItems: [...(items ?? [])] })),
    async (isTrue) => {
      await until("all is settled", isTrue)
      await until("all is written", async () => (await table.all()).every(({ status }) => isSettled(status)))
    },
  )

  const fake = new TestOutbox({ ...OPTIONS, ...options, tableName })
  const fromTest = await play(
    scenario,
    fake,
    (items) => fake.commit(items ?? []),
    async (isTrue) => {
      await fake.idle()
      expect(isTrue()).toBe(true)
    },
  )
  expect(fromTest).toEqual(fromEngine)
  return { log: fromTest, fake }
}

const isSettled = (status: unknown) => status === "completed" || status === "failed"
const someEvent = (id: string, more: Partial<BusEvent> = {}): BusEvent => ({
  id,
  type: "quick",
  payload: { id },
  occurredAt: new Date(OCCURRED_AT),
  ...more,
})

class Money {
  constructor(readonly amount: number) {}
}

test("payloads and metadata are converted alike", async () => {
  const payloads: unknown[] = [
    null,
    "",
    "text",
    [0, -0, -1.5, 1e-100, Number.MAX_SAFE_INTEGER],
    { big: 12345678901234567890n, small: 5n, negative: -(2n ** 70n) },
    { at: new Date(0), url: new URL("https://example.com/a"), money: new Money(3), gone: undefined },
    new Map([["k", new Map([["n", 1n]])]]),
    { text: new Set(["b", "a"]), numbers: new Set([1, 2n, 2n ** 64n]) },
    { bytes: Buffer.from([0, 255]), list: new Uint16Array([1, 2]), sets: new Set([new Uint8Array([1])]) },
    { constructor: { constructor: 1 }, value: "1", toAttributeValue: 2 },
    [[[[[["deep"]]]]], { list: [], map: {} }],
  ]
  const { log } = await compare(async ({ bus, settled }) => {
    for (const [i, payload] of payloads.entries()) {
      const occurredAt = new Date(OCCURRED_AT + i)
      await bus.emit(someEvent(`e${i}`, { payload, occurredAt, metadata: { by: new Date(1), n: 7n } }))
    }
    bus.start()
    await settled(payloads.length)
  })
  expect(log).toHaveLength(payloads.length)
})

test("what can't be stored, and what is stored already, is refused alike", async () => {
  await compare(async ({ bus, attempt }) => {
    await attempt(bus.emit(someEvent("a")))
    await attempt(bus.emit(someEvent("a")))
    await attempt(bus.emitMany([someEvent("b"), someEvent("a"), someEvent("c")]))
    await attempt(bus.emitMany([someEvent("d"), someEvent("d")]))
    await attempt(bus.emit(someEvent("b", { payload: { n: [Number.NaN] } })))
    await attempt(bus.emit(someEvent("b", { payload: new Set() })))
    await attempt(bus.emit(someEvent("b", { payload: "x".repeat(400 * 1024) })))
    await attempt(bus.emitMany(Array.from({ length: 101 }, (_, i) => someEvent(`many ${i}`))))
    await attempt(bus.emitMany(Array.from({ length: 100 }, (_, i) => someEvent(`many ${i}`))))
  })
})

test("attempts, dead letters and their return are the same", async () => {
  const { fake } = await compare(async ({ bus, outbox, settled, log }) => {
    const failing = (id: string, times: number, i: number) =>
      someEvent(id, { type: "failing", payload: times, occurredAt: new Date(OCCURRED_AT + i * 1000) })
    bus.start()
    await bus.emit(failing("once", 1, 0))
    await settled(1)
    await bus.emit(failing("for ever", 100, 1))
    await settled(2)
    await bus.emit(failing("to be fixed", 3, 2))
    await settled(3)
    const failed = async () =>
      (await outbox.getFailedEvents()).map(({ lastAttemptAt, ...event }) => [
        event,
        lastAttemptAt instanceof Date,
      ])
    log.push(await failed())
    await bus.retryEvents(["to be fixed", "once", "unknown"])
    await settled(4)
    log.push(await failed())
  })
  expect(fake.delivered.map(({ id }) => id)).toEqual(["once", "to be fixed"])
  expect(fake.failed.map(({ id }) => id)).toEqual(["for ever"])
})

test("transactions publish, or don't, alike", async () => {
  const { fake } = await compare(async ({ bus, commit, attempt, settled }) => {
    let placed = 0
    const place = (id: string, items?: TransactWriteItem[]) =>
      bus.emit(someEvent(id, { occurredAt: new Date(OCCURRED_AT + placed++) }), items)
    await attempt(
      withDynamoDBAwsSdkTransaction(async (transaction) => {
        await place("helper")
        await commit(transaction.items)
      }),
    )
    await attempt(
      withDynamoDBAwsSdkTransaction(async () => {
        await place("given up")
        throw new Error("out of stock")
      }),
    )
    const items: TransactWriteItem[] = []
    await place("array", items)
    await attempt(commit(items))
    bus.start()
    await settled(2)
    // The same items again, and one whose id is taken among others.
    await attempt(commit(items))
    const more: TransactWriteItem[] = []
    await place("new", more)
    await place("helper", more)
    await attempt(commit(more))
    await attempt(place("new", more))
  })
  expect(fake.published.map(({ id }) => id)).toEqual(["helper", "array"])
})

test("events come in the order of their time, also across pages", async () => {
  const { fake } = await compare(
    async ({ bus, settled }) => {
      const shuffled = Array.from({ length: 60 }, (_, i) => (i * 37) % 60)
      await bus.emitMany(shuffled.map((i) => someEvent(`e${i}`, { occurredAt: new Date(OCCURRED_AT + i) })))
      bus.start()
      await settled(60)
    },
    { batchSize: 7 },
  )
  expect(fake.delivered.map(({ id }) => id)).toEqual(Array.from({ length: 60 }, (_, i) => `e${i}`))
})

test("what is left in the table is the same, attribute by attribute", async () => {
  const table = await createTable()
  const { tableName } = table
  const fake = new TestOutbox({ ...OPTIONS, tableName })
  const real = outboxOn(table, { ...OPTIONS, tableName })
  const events = [
    someEvent("good"),
    someEvent("bad"),
    someEvent("waiting", { occurredAt: new Date("2999-01-01") }),
  ]
  for (const outbox of [fake, real]) {
    await outbox.publish(events)
    outbox.start(
      async ({ id }) => {
        if (id === "bad") throw new Error("boom")
      },
      () => {},
    )
  }
  await fake.idle()
  await until("both are settled", async () =>
    (await table.all()).every(({ id, status }) => id === "waiting" || isSettled(status)),
  )
  await Promise.all([fake.stop(), real.stop()])
  // biome-ignore lint/complexity/useLiteralKeys: private
  const table2 = fake["table"]
  for (const { id } of events) {
    const shapeOf = (item: object | undefined) => item && Object.keys(item).toSorted()
    const key = { input: { TableName: tableName, Key: { id } } }
    const { Item: stored } = (await table2.send(key)) as { Item: object }
    const engines = await table.read(id)
    expect(shapeOf(stored)).toEqual(shapeOf(engines))
    const unchanging = ({ startedOn, completedOn, claimToken, ...rest }: Record<string, unknown>) => rest
    expect(unchanging(stored as Record<string, unknown>)).toEqual(
      unchanging(engines as object as Record<string, unknown>),
    )
  }
})
