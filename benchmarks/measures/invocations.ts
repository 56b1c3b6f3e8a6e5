// Measures drains in short invocations: how many events one delivers, and what it leaves behind.
import { setTimeout as delay } from "node:timers/promises"
import { DynamoDBDocumentClient, paginateScan } from "@aws-sdk/lib-dynamodb"
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { OutboxEventBus } from "outbox-event-bus"
import { DynamoDBAwsSdkOutbox } from "../../src/index.ts"
import type { Lab, LabEngine } from "../lab.ts"
import { createBacklog, dropTable, EVENT_TYPE, overdueEvents } from "../load/backlog.ts"
import { Meter, totalRequests } from "../load/meter.ts"
import { atLeast, atMost, type Measure } from "../target.ts"

interface InvocationsRow {
  engine: string
  concurrency: number
  /** Events that each invocation has delivered, in order. */
  delivered: number[]
  /** Time of the last one. */
  lastMs: number
  /** The longest of them. */
  longestMs: number
  leftClaimed: number
  duplicates: number
}

export interface InvocationsResult {
  events: number
  handlerMs: number
  invocationMs: number
  rows: InvocationsRow[]
  requestsWhenEmpty: number
}

const EVENTS = 500
const HANDLER_MS = 50
const INVOCATION_MS = 10_000

async function run(lab: Lab): Promise<InvocationsResult> {
  const rows: InvocationsRow[] = []
  let requestsWhenEmpty = 0
  for (const engine of lab.engines) {
    for (const concurrency of [20, 1]) {
      const { row, empty } = await measure(lab, engine, concurrency)
      rows.push(row)
      requestsWhenEmpty = Math.max(requestsWhenEmpty, empty)
      lab.log(`  ${JSON.stringify(row)}`)
    }
  }
  return { events: EVENTS, handlerMs: HANDLER_MS, invocationMs: INVOCATION_MS, rows, requestsWhenEmpty }
}

async function measure(lab: Lab, engine: LabEngine, concurrency: number) {
  const client = clientFor(engine.endpoint)
  const meter = new Meter().attach(client)
  const tableName = lab.newTableName()
  await createBacklog(client, { tableName, events: overdueEvents(EVENTS) })
  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName, polling: false, concurrency })
  const bus = new OutboxEventBus(outbox, (error) => {
    throw error
  })
  let handled = 0
  bus.on(EVENT_TYPE, async () => {
    handled++
    await delay(HANDLER_MS)
  })
  bus.start()

  const delivered: number[] = []
  const times: number[] = []
  let leftClaimed = 0
  for (let reason = ""; reason !== "empty"; ) {
    const start = performance.now()
    const end = start + INVOCATION_MS
    const result = await outbox.drain({ deadline: () => end - performance.now() })
    times.push(Math.round(performance.now() - start))
    delivered.push(result.delivered)
    reason = result.reason
    leftClaimed = Math.max(leftClaimed, await countActive(client, tableName))
  }
  meter.take()
  await outbox.drain()
  const empty = totalRequests(meter.take())
  await bus.stop()
  await dropTable(client, tableName)
  client.destroy()
  const row = {
    engine: engine.label,
    concurrency,
    delivered,
    lastMs: times.at(-1) as number,
    longestMs: Math.max(...times),
    leftClaimed,
    duplicates: handled - EVENTS,
  }
  return { row, empty }
}

async function countActive(client: ReturnType<typeof clientFor>, tableName: string): Promise<number> {
  let active = 0
  const documents = DynamoDBDocumentClient.from(client)
  for await (const { Items: items = [] } of paginateScan({ client: documents }, { TableName: tableName })) {
    active += items.filter(({ status }) => status === "active").length
  }
  return active
}

function targets({ rows, invocationMs, requestsWhenEmpty }: InvocationsResult) {
  const judged = rows.flatMap(({ engine, concurrency, delivered, longestMs, leftClaimed, duplicates }) => {
    const figure = (what: string) => `${what}, \`concurrency: ${concurrency}\`, ${engine}`
    // The last one finds what the others have left.
    const whole = delivered.length > 1 ? delivered.slice(0, -1) : delivered
    return [
      concurrency === 1
        ? atLeast(150, Math.min(...whole), {
            figure: figure("events of 50 ms in an invocation of 10 s"),
            dependsOnTime: true,
          })
        : atMost(1, delivered.length, {
            figure: figure("invocations of 10 s for 500 events of 50 ms"),
            dependsOnTime: true,
          }),
      atMost(invocationMs, longestMs, {
        figure: figure("longest invocation"),
        dependsOnTime: true,
        unit: " ms",
      }),
      atMost(0, leftClaimed, { figure: figure("events left claimed by an invocation"), dependsOnTime: true }),
      atMost(0, duplicates, { figure: figure("duplicates in invocations"), dependsOnTime: true }),
    ]
  })
  return [
    ...judged,
    atMost(3, requestsWhenEmpty, { figure: "requests of a drain of an empty table", dependsOnTime: false }),
  ]
}

export const invocationsMeasure: Measure<InvocationsResult> = { name: "invocations", run, targets }
