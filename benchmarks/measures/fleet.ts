// Measures several workers on one backlog, each in a process of its own: refused writes, duplicates, and how long it takes.
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { interleaved, seeded } from "../chance.ts"
import type { Lab, LabEngine } from "../lab.ts"
import { createBacklog, dropTable, overdueEvents } from "../load/backlog.ts"
import { Fleet } from "../load/fleet.ts"
import { totalRequests } from "../load/meter.ts"
import { rounded, type Spread, spreadOf } from "../spread.ts"
import { atMost, type Measure } from "../target.ts"

type Algorithm = "relay" | "original"

interface Variant {
  engine: LabEngine
  algorithm: Algorithm
  workers: number
  events: number
}

interface Outcome {
  seconds: number
  refusedPerEvent: number
  requestsPerEvent: number
  duplicates: number
  /** Share of the worker that delivered least, against an even share. */
  leastShare: number
}

interface FleetRow {
  engine: string
  algorithm: Algorithm
  workers: number
  events: number
  seconds: Spread
  refusedPerEvent: Spread
  requestsPerEvent: Spread
  duplicates: number
}

export interface FleetResult {
  rows: FleetRow[]
}

async function run(lab: Lab): Promise<FleetResult> {
  const { workers, events, rounds, originalEvents } = lab.settings.fleet
  const fleet = await Fleet.start(Math.max(...workers))
  const outcomes = new Map<Variant, Outcome[]>()
  const runVariant = async (variant: Variant) => {
    const outcome = await drainOnce(lab, fleet, variant)
    outcomes.set(variant, [...(outcomes.get(variant) ?? []), outcome])
    const { engine, algorithm } = variant
    lab.log(`  ${engine.label}, ${variant.workers} × ${algorithm}: ${JSON.stringify(outcome)}`)
  }
  const variantsOf = (algorithm: Algorithm, count: number): Variant[] =>
    lab.engines.flatMap((engine) =>
      workers.map((size) => ({ engine, algorithm, workers: size, events: count })),
    )
  const draw = seeded(lab.settings.seed)
  try {
    await interleaved(rounds, variantsOf("relay", events), draw, runVariant)
    if (originalEvents > 0) {
      await interleaved(1, variantsOf("original", originalEvents), draw, runVariant)
    }
  } finally {
    fleet.stop()
  }
  return { rows: [...outcomes].map(([variant, results]) => toRow(variant, results)) }
}

async function drainOnce(lab: Lab, fleet: Fleet, variant: Variant): Promise<Outcome> {
  const { endpoint } = variant.engine
  const client = clientFor(endpoint)
  const tableName = lab.newTableName()
  await createBacklog(client, { tableName, events: overdueEvents(variant.events) })
  const { handled, counts, ms } = await fleet.drain(variant.workers, variant.events, {
    algorithm: variant.algorithm,
    endpoint,
    tableName,
  })
  await dropTable(client, tableName)
  client.destroy()
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)
  const completed = counts.map(({ requests, refused }) => ((requests.UpdateItem ?? 0) - refused) / 2)
  return {
    seconds: rounded(ms / 1000),
    refusedPerEvent: sum(counts.map(({ refused }) => refused)) / variant.events,
    requestsPerEvent: rounded(sum(counts.map(totalRequests)) / variant.events),
    duplicates: handled.length - new Set(handled).size,
    leastShare: rounded((Math.min(...completed) * variant.workers) / variant.events),
  }
}

function toRow({ engine, algorithm, workers, events }: Variant, outcomes: Outcome[]): FleetRow {
  return {
    engine: engine.label,
    algorithm,
    workers,
    events,
    seconds: spreadOf(outcomes.map(({ seconds }) => seconds)),
    refusedPerEvent: spreadOf(outcomes.map(({ refusedPerEvent }) => refusedPerEvent)),
    requestsPerEvent: spreadOf(outcomes.map(({ requestsPerEvent }) => requestsPerEvent)),
    duplicates: outcomes.reduce((sum, { duplicates }) => sum + duplicates, 0),
  }
}

const MOST_REFUSED: Record<number, number> = { 4: 0.05, 8: 0.1 }
/** A single round, as in the quick mode, has no median to even out chance, and a busy machine makes workers meet more often. */
const ALLOWANCE_OF_ONE_ROUND = 1.5

function targets({ rows }: FleetResult) {
  const relays = rows
    .filter(({ algorithm }) => algorithm === "relay")
    .sort((a, b) => b.engine.localeCompare(a.engine) || a.workers - b.workers)
  const figures = relays.flatMap(({ engine, workers, events, refusedPerEvent, seconds }) => {
    const most = MOST_REFUSED[workers]
    if (most === undefined) return []
    const where = `${workers} workers, ${events} events, ${engine}`
    const allowance = refusedPerEvent.rounds.length === 1 ? ALLOWANCE_OF_ONE_ROUND : 1
    const refused = atMost(most * allowance, refusedPerEvent.median, {
      figure: `refused writes per event, ${where}`,
      dependsOnTime: false,
    })
    const alone = relays.find((row) => row.engine === engine && row.workers === 1)
    if (!alone) return [refused]
    const time = atMost(1.1, seconds.median / alone.seconds.median, {
      figure: `time of the drain relative to one worker, ${where}`,
      dependsOnTime: true,
    })
    return [refused, time]
  })
  const duplicates = relays.reduce((sum, row) => sum + row.duplicates, 0)
  return [
    ...figures,
    atMost(0, duplicates, { figure: "duplicates with several workers", dependsOnTime: false }),
  ]
}

export const fleetMeasure: Measure<FleetResult> = { name: "fleet", run, targets }
