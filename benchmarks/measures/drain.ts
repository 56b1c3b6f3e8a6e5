// Measures how fast a backlog is drained: with defaults, with concurrency 50, by the original's algorithm, and by the
// bare loop that is the limit.
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { interleaved, seeded } from "../chance.ts"
import type { Lab, LabEngine } from "../lab.ts"
import { createBacklog, dropTable, type EventSize, overdueEvents } from "../load/backlog.ts"
import { type Backlog, type Drained, drainByBareLoop, drainByOriginal, drainByRelay } from "../load/drains.ts"
import { rounded, type Spread, spreadOf } from "../spread.ts"
import { atLeast, atMost, type Measure } from "../target.ts"

type Drainer = "defaults" | "concurrency 50" | "original" | "limit"

interface Variant {
  engine: LabEngine
  drainer: Drainer
  size: EventSize
  handlerMs: number
}

interface DrainRow {
  engine: string
  drainer: Drainer
  size: EventSize
  handlerMs: number
  events: number
  eventsPerSecond: Spread
  cpuMsPerEvent: Spread
  duplicates: number
}

export interface DrainResult {
  /** Best number in flight of the bare loop, per engine, and the rates of those tried. */
  limitInFlight: Record<string, { best: number; tried: Record<string, number> }>
  rows: DrainRow[]
}

async function run(lab: Lab): Promise<DrainResult> {
  const draw = seeded(lab.settings.seed)
  const limitInFlight = await findBestInFlight(lab)
  const drained = new Map<Variant, Array<Drained & { events: number }>>()
  const runVariant = async (variant: Variant, round: number) => {
    const events = eventCount(variant, lab)
    const inFlight = limitInFlight[variant.engine.label]?.best ?? 1
    const result = await drainFresh(lab, variant.engine, events, variant.size, (backlog) =>
      drain(backlog, variant, inFlight),
    )
    drained.set(variant, [...(drained.get(variant) ?? []), { ...result, events }])
    const what = `${variant.engine.label}, ${variant.drainer}, ${variant.size}, ${variant.handlerMs} ms`
    lab.log(`  round ${round}: ${what}: ${rounded(result.eventsPerSecond)} events/s`)
  }
  const { rounds, sideRounds } = lab.settings.drain
  const main = variants(lab, ["defaults", "concurrency 50", "original", "limit"], "300 B", 0)
  const slow = variants(lab, ["defaults", "concurrency 50", "original"], "300 B", 20)
  const large = variants(lab, ["defaults", "concurrency 50", "original", "limit"], "10 KB", 0)
  // Side rounds hold the main variants too, so that every ratio is taken between runs of the same minutes.
  await interleaved(sideRounds, [...main, ...slow, ...large], draw, runVariant)
  await interleaved(rounds - sideRounds, main, draw, runVariant)
  return { limitInFlight, rows: [...drained].map(([variant, results]) => toRow(variant, results)) }
}

function variants(lab: Lab, drainers: Drainer[], size: EventSize, handlerMs: number): Variant[] {
  return lab.engines.flatMap((engine) => drainers.map((drainer) => ({ engine, drainer, size, handlerMs })))
}

function eventCount({ drainer, handlerMs }: Variant, { settings: { drain: sizes } }: Lab): number {
  if (drainer === "original") return sizes.originalPages * 50
  if (handlerMs === 0) return sizes.events
  return drainer === "defaults" ? sizes.serialSlowEvents : sizes.slowEvents
}

function drain(backlog: Backlog, { drainer, handlerMs }: Variant, inFlight: number): Promise<Drained> {
  switch (drainer) {
    case "defaults":
      return drainByRelay(backlog, { handlerMs })
    case "concurrency 50":
      return drainByRelay(backlog, { handlerMs, concurrency: 50 })
    case "original":
      return drainByOriginal(backlog, { handlerMs })
    case "limit":
      return drainByBareLoop(backlog, inFlight)
  }
}

async function drainFresh(
  lab: Lab,
  engine: LabEngine,
  count: number,
  size: EventSize,
  work: (backlog: Backlog) => Promise<Drained>,
): Promise<Drained> {
  const client = clientFor(engine.endpoint)
  const tableName = lab.newTableName()
  const events = overdueEvents(count, size)
  await createBacklog(client, { tableName, events })
  const drained = await work({ endpoint: engine.endpoint, tableName, events })
  await dropTable(client, tableName)
  client.destroy()
  return drained
}

/** Tries several numbers in flight twice; this also warms up both engines and this process. */
async function findBestInFlight(lab: Lab): Promise<DrainResult["limitInFlight"]> {
  const { inFlightTried, inFlightEvents } = lab.settings.drain
  const found: DrainResult["limitInFlight"] = {}
  const draw = seeded(lab.settings.seed + 1)
  for (const engine of lab.engines) {
    const rates = new Map<number, number[]>()
    await interleaved(2, inFlightTried, draw, async (inFlight) => {
      const { eventsPerSecond } = await drainFresh(lab, engine, inFlightEvents, "300 B", (backlog) =>
        drainByBareLoop(backlog, inFlight),
      )
      rates.set(inFlight, [...(rates.get(inFlight) ?? []), eventsPerSecond])
    })
    const tried = [...rates].map(([inFlight, values]) => ({ inFlight, rate: Math.max(...values) }))
    tried.sort((a, b) => b.rate - a.rate)
    found[engine.label] = {
      best: tried[0]?.inFlight ?? 1,
      tried: Object.fromEntries(tried.map(({ inFlight, rate }) => [inFlight, rounded(rate)])),
    }
    lab.log(`  bare loop on ${engine.label}: ${JSON.stringify(found[engine.label])}`)
  }
  return found
}

function toRow(
  { engine, drainer, size, handlerMs }: Variant,
  results: Array<Drained & { events: number }>,
): DrainRow {
  return {
    engine: engine.label,
    drainer,
    size,
    handlerMs,
    events: results[0]?.events ?? 0,
    eventsPerSecond: spreadOf(results.map(({ eventsPerSecond }) => eventsPerSecond)),
    cpuMsPerEvent: spreadOf(results.map(({ cpuMsPerEvent }) => cpuMsPerEvent)),
    duplicates: results.reduce((sum, { handled }) => sum + handled.length - new Set(handled).size, 0),
  }
}

/** The median rate of a row; undefined where it was not measured. */
function rateOf(
  { rows }: DrainResult,
  row: Pick<DrainRow, "engine" | "drainer" | "size" | "handlerMs">,
): number | undefined {
  const found = rows.find(
    ({ engine, drainer, size, handlerMs }) =>
      engine === row.engine && drainer === row.drainer && size === row.size && handlerMs === row.handlerMs,
  )
  return found?.eventsPerSecond.median
}

const CONCURRENCY = 50

function targets(result: DrainResult) {
  const engines = [...new Set(result.rows.map(({ engine }) => engine))]
  const ratios = engines.flatMap((engine) => {
    const rate = (drainer: Drainer, handlerMs = 0) =>
      rateOf(result, { engine, drainer, size: "300 B", handlerMs }) ?? Number.NaN
    const ratio = (minimum: number, measured: number, figure: string, unit = "") =>
      Number.isNaN(measured)
        ? []
        : [atLeast(minimum, measured, { figure: `${figure}, ${engine}`, dependsOnTime: true, unit })]
    const most = Math.min(rate("limit"), (CONCURRENCY * 1000) / 20)
    return [
      ...ratio(0.85, rate("defaults") / rate("limit"), "drain with defaults, relative to the limit"),
      ...ratio(
        0.9,
        rate("concurrency 50") / rate("limit"),
        "drain with `concurrency: 50`, relative to the limit",
      ),
      ...ratio(
        0.85,
        rate("concurrency 50", 20) / most,
        "handlers of 20 ms, `concurrency: 50`, relative to min(limit, 50 / 20 ms)",
      ),
      ...ratio(
        12,
        rate("defaults") / rate("original"),
        "drain with defaults, relative to the original's algorithm",
        " times",
      ),
    ]
  })
  const duplicates = result.rows.reduce((sum, row) => sum + row.duplicates, 0)
  return [...ratios, atMost(0, duplicates, { figure: "duplicates in all drains", dependsOnTime: false })]
}

export const drainMeasure: Measure<DrainResult> = { name: "drain", run, targets }
