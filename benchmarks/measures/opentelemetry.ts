// Measures what instrumentation costs: the same backlog drained by a bare outbox, by an instrumented one without a registered SDK, and by one
// whose spans and metrics are recorded.

import { metrics, trace } from "@opentelemetry/api"
import { MeterProvider } from "@opentelemetry/sdk-metrics"
import { BasicTracerProvider, BatchSpanProcessor, InMemorySpanExporter } from "@opentelemetry/sdk-trace-base"
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import type { DynamoDBAwsSdkOutbox } from "../../src/index.ts"
import { instrumentOutbox } from "../../src/opentelemetry.ts"
import { interleaved, seeded } from "../chance.ts"
import type { Lab } from "../lab.ts"
import { createBacklog, dropTable, overdueEvents } from "../load/backlog.ts"
import { drainByRelay } from "../load/drains.ts"
import { type Spread, spreadOf } from "../spread.ts"
import { atLeast, type Measure } from "../target.ts"

const VARIANTS = ["bare", "no SDK", "recording"] as const
type Variant = (typeof VARIANTS)[number]

export interface OpenTelemetryResult {
  events: number
  rows: { variant: Variant; eventsPerSecond: Spread; cpuMsPerEvent: Spread }[]
}

const CONCURRENCY = 20

function preparationOf(variant: Variant): {
  prepare: (outbox: DynamoDBAwsSdkOutbox) => void
  end: () => Promise<void>
} {
  let stop = () => {}
  const tracerProvider = new BasicTracerProvider({
    spanProcessors: [new BatchSpanProcessor(new InMemorySpanExporter())],
  })
  const meterProvider = new MeterProvider()
  const providers =
    variant === "recording"
      ? { tracerProvider, meterProvider }
      : { tracerProvider: trace.getTracerProvider(), meterProvider: metrics.getMeterProvider() }
  return {
    prepare: (outbox) => {
      if (variant !== "bare") stop = instrumentOutbox(outbox, providers)
    },
    end: async () => {
      stop()
      await Promise.all([tracerProvider.shutdown(), meterProvider.shutdown()])
    },
  }
}

async function run(lab: Lab): Promise<OpenTelemetryResult> {
  const [engine] = lab.engines
  if (!engine) throw new Error("No engine can run on this machine.")
  const { events: count, rounds } = lab.settings.openTelemetry
  const rates = new Map<Variant, { eventsPerSecond: number; cpuMsPerEvent: number }[]>()
  await interleaved(rounds, [...VARIANTS], seeded(lab.settings.seed), async (variant) => {
    const client = clientFor(engine.endpoint)
    const tableName = lab.newTableName()
    const events = overdueEvents(count)
    await createBacklog(client, { tableName, events })
    const { prepare, end } = preparationOf(variant)
    const drained = await drainByRelay(
      { endpoint: engine.endpoint, tableName, events },
      { handlerMs: 0, concurrency: CONCURRENCY, prepare },
    )
    await end()
    await dropTable(client, tableName)
    client.destroy()
    rates.set(variant, [...(rates.get(variant) ?? []), drained])
  })
  const rows = VARIANTS.map((variant) => {
    const of = rates.get(variant) ?? []
    return {
      variant,
      eventsPerSecond: spreadOf(of.map(({ eventsPerSecond }) => eventsPerSecond)),
      cpuMsPerEvent: spreadOf(of.map(({ cpuMsPerEvent }) => cpuMsPerEvent)),
    }
  })
  for (const row of rows) lab.log(`  ${JSON.stringify(row)}`)
  return { events: count, rows }
}

function targets({ rows }: OpenTelemetryResult) {
  const rateOf = (wanted: Variant) =>
    rows.find(({ variant }) => variant === wanted)?.eventsPerSecond.median ?? Number.NaN
  return [
    atLeast(0.95, rateOf("no SDK") / rateOf("bare"), {
      figure: "rate of an instrumented drain without an SDK, relative to a bare one",
      dependsOnTime: true,
    }),
    atLeast(0.75, rateOf("recording") / rateOf("bare"), {
      figure: "rate of an instrumented drain that is recorded, relative to a bare one",
      dependsOnTime: true,
    }),
  ]
}

export const openTelemetryMeasure: Measure<OpenTelemetryResult> = { name: "opentelemetry", run, targets }
