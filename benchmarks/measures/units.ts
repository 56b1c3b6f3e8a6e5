// Measures what one delivered event costs, publish included: requests, and write and read units by table and index.
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { OutboxEventBus } from "outbox-event-bus"
import { DynamoDBAwsSdkOutbox } from "../../src/index.ts"
import type { Lab, LabEngine } from "../lab.ts"
import { createBacklog, dropTable, EVENT_TYPE, type EventSize, overdueEvents } from "../load/backlog.ts"
import { type Counts, Meter, totalRequests, type Units } from "../load/meter.ts"
import { rounded } from "../spread.ts"
import { atMost, type Measure } from "../target.ts"

type Projection = "ALL" | "KEYS_ONLY"

/** Of one event, on average. */
interface Cost extends Units {
  requests: number
  byRequest: Record<string, number>
}

export interface UnitsRow {
  engine: string
  projection: Projection
  size: EventSize
  publish: Cost
  deliver: Cost
  refused: number
  duplicates: number
}

export interface UnitsResult {
  events: number
  rows: UnitsRow[]
}

const TRANSACTION = 50

async function run(lab: Lab): Promise<UnitsResult> {
  const rows: UnitsRow[] = []
  for (const engine of lab.engines) {
    for (const projection of ["ALL", "KEYS_ONLY"] as const) {
      for (const size of ["300 B", "10 KB"] as const) {
        rows.push(await measure(lab, engine, projection, size))
      }
    }
  }
  return { events: lab.settings.units.events, rows }
}

async function measure(
  lab: Lab,
  engine: LabEngine,
  projection: Projection,
  size: EventSize,
): Promise<UnitsRow> {
  const { events: count } = lab.settings.units
  const client = clientFor(engine.endpoint)
  const tableName = lab.newTableName()
  await createBacklog(client, { tableName, projection, events: [] })
  const meter = new Meter().attach(client)

  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName })
  const events = overdueEvents(count, size)
  for (let i = 0; i < count; i += TRANSACTION) await outbox.publish(events.slice(i, i + TRANSACTION))
  const published = meter.take()

  const handled: string[] = []
  await new Promise<void>((resolve, reject) => {
    const bus = new OutboxEventBus(outbox, reject)
    bus.on(EVENT_TYPE, async ({ id }) => {
      handled.push(id)
      if (handled.length >= count) resolve()
    })
    bus.start()
  })
  await outbox.stop()
  const delivered = meter.take()
  await dropTable(client, tableName)
  client.destroy()

  lab.log(`  ${engine.label}, ${projection}, ${size}: ${JSON.stringify(costOf(delivered, count))}`)
  return {
    engine: engine.label,
    projection,
    size,
    publish: costOf(published, count),
    deliver: costOf(delivered, count),
    refused: published.refused + delivered.refused,
    duplicates: handled.length - new Set(handled).size,
  }
}

function costOf(counts: Counts, events: number): Cost {
  const each = (total: number) => rounded(total / events)
  return {
    requests: each(totalRequests(counts)),
    byRequest: Object.fromEntries(
      Object.entries(counts.requests).map(([name, total]) => [name, each(total)]),
    ),
    tableWrite: each(counts.tableWrite),
    indexWrite: each(counts.indexWrite),
    tableRead: each(counts.tableRead),
    indexRead: each(counts.indexRead),
  }
}

/**
 * What DynamoDB bills for publishing. Only dynoxide counts transactions as DynamoDB documents it: twice the item's units,
 * and the index's once. DynamoDB Local counts otherwise, so with it the targets are not judged.
 */
function hasTrueTransactionUnits(engine: string): boolean {
  return engine === "dynoxide"
}

export function writeUnits({ publish, deliver }: Pick<UnitsRow, "publish" | "deliver">): number {
  return publish.tableWrite + publish.indexWrite + deliver.tableWrite + deliver.indexWrite
}

/** Claim and complete, and the queries shared by a page of events. */
const MOST_REQUESTS = 2.1

function targets({ rows }: UnitsResult) {
  const units = rows.flatMap((row) => {
    const most = row.size === "300 B" ? 8 : row.projection === "KEYS_ONLY" ? 44 : undefined
    if (most === undefined || !hasTrueTransactionUnits(row.engine)) return []
    const figure = `write units per event of ${row.size}, ${row.projection} index, publish included, ${row.engine}`
    return [atMost(most, writeUnits(row), { figure, dependsOnTime: false })]
  })
  const engines = [...new Set(rows.map(({ engine }) => engine))]
  const counts = engines.flatMap((engine) => {
    const own = rows.filter((row) => row.engine === engine)
    const sum = (of: (row: UnitsRow) => number) => own.reduce((total, row) => total + of(row), 0)
    const requests = Math.max(...own.map(({ deliver }) => deliver.requests))
    const figure = (what: string) => ({ figure: `${what}, one worker, ${engine}`, dependsOnTime: false })
    return [
      atMost(MOST_REQUESTS, requests, figure("requests per delivered event")),
      atMost(
        0,
        sum(({ refused }) => refused),
        figure("refused writes"),
      ),
      atMost(
        0,
        sum(({ duplicates }) => duplicates),
        figure("duplicates"),
      ),
    ]
  })
  return [...units, ...counts]
}

export const unitsMeasure: Measure<UnitsResult> = { name: "units", run, targets }
