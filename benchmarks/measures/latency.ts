// Measures the time from the call of `emit` to the start of the handler in the same process, which the publish wakes.
import { setTimeout as delay } from "node:timers/promises"
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { OutboxEventBus } from "outbox-event-bus"
import { DynamoDBAwsSdkOutbox } from "../../src/index.ts"
import { seeded } from "../chance.ts"
import type { Lab, LabEngine } from "../lab.ts"
import { createBacklog, dropTable, EVENT_TYPE, newEvent } from "../load/backlog.ts"
import { type Percentiles, percentilesOf } from "../percentiles.ts"
import { atMost, type Measure } from "../target.ts"

interface LatencyRow extends Percentiles {
  engine: string
  /** Of these, the time until `emit` has resolved: the transaction's own. */
  emit: Percentiles
  duplicates: number
}

export interface LatencyResult {
  pauseMs: number
  rows: LatencyRow[]
}

/** Random pauses up to this: so events come to a relay that sleeps as well as to one that is at work. */
const PAUSE_MS = 80
const WARM_UP = 30

async function run(lab: Lab): Promise<LatencyResult> {
  const rows: LatencyRow[] = []
  for (const engine of lab.engines) rows.push(await measure(lab, engine))
  return { pauseMs: PAUSE_MS, rows }
}

async function measure(lab: Lab, engine: LabEngine): Promise<LatencyRow> {
  const client = clientFor(engine.endpoint)
  const tableName = lab.newTableName()
  await createBacklog(client, { tableName, events: [] })
  const count = lab.settings.latency.emits + WARM_UP
  const emittedAt = new Map<string, number>()
  const toHandler: number[] = []
  const toAnswer: number[] = []
  let onAll = () => {}
  const all = new Promise<void>((resolve) => {
    onAll = resolve
  })

  const bus = new OutboxEventBus(new DynamoDBAwsSdkOutbox({ client, tableName }), (error) => {
    throw error
  })
  bus.on(EVENT_TYPE, async ({ id }) => {
    toHandler.push(performance.now() - (emittedAt.get(id) as number))
    if (toHandler.length >= count) onAll()
  })
  bus.start()
  const draw = seeded(lab.settings.seed)
  for (let i = 0; i < count; i++) {
    await delay(draw() * PAUSE_MS)
    const event = newEvent("300 B", i, new Date())
    const start = performance.now()
    emittedAt.set(event.id, start)
    await bus.emit(event)
    toAnswer.push(performance.now() - start)
  }
  await all
  await bus.stop()
  await dropTable(client, tableName)
  client.destroy()

  const row = {
    engine: engine.label,
    ...percentilesOf(toHandler.slice(WARM_UP)),
    emit: percentilesOf(toAnswer.slice(WARM_UP)),
    duplicates: toHandler.length - count,
  }
  lab.log(`  ${JSON.stringify(row)}`)
  return row
}

function targets({ rows }: LatencyResult) {
  return rows.flatMap(({ engine, p50, p99, duplicates }) => [
    atMost(15, p50, {
      figure: `emit to handler in the same process, p50, ${engine}`,
      dependsOnTime: true,
      unit: " ms",
    }),
    atMost(50, p99, {
      figure: `emit to handler in the same process, p99, ${engine}`,
      dependsOnTime: true,
      unit: " ms",
    }),
    atMost(0, duplicates, { figure: `duplicates while emitting, ${engine}`, dependsOnTime: false }),
  ])
}

export const latencyMeasure: Measure<LatencyResult> = { name: "latency", run, targets }
