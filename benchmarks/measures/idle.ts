// Measures what a worker without work sends in a minute: requests and read units.
import { setTimeout as delay } from "node:timers/promises"
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { OutboxEventBus } from "outbox-event-bus"
import { DynamoDBAwsSdkOutbox } from "../../src/index.ts"
import type { Lab, LabEngine } from "../lab.ts"
import { createBacklog, dropTable } from "../load/backlog.ts"
import { Meter, totalRequests } from "../load/meter.ts"
import { originalWorker } from "../load/original.ts"
import { rounded } from "../spread.ts"
import { atMost, type Measure } from "../target.ts"

interface IdleRow {
  engine: string
  algorithm: "relay" | "original"
  requestsPerMinute: number
  readUnitsPerMinute: number
}

export interface IdleResult {
  windowMs: number
  /** Poll interval and lease were divided by it, and the window stands for a minute all the same. */
  timeScale: number
  rows: IdleRow[]
}

const POLL_INTERVAL_MS = 1000
const LEASE_MS = 30_000

/** All of this is waiting, so everything is measured at once. */
async function run(lab: Lab): Promise<IdleResult> {
  const rows = await Promise.all(
    lab.engines.flatMap((engine) =>
      (["relay", "original"] as const).map((algorithm) => measure(lab, engine, algorithm)),
    ),
  )
  return { ...lab.settings.idle, rows }
}

async function measure(lab: Lab, engine: LabEngine, algorithm: "relay" | "original"): Promise<IdleRow> {
  const { windowMs, timeScale } = lab.settings.idle
  const client = clientFor(engine.endpoint)
  const tableName = lab.newTableName()
  await createBacklog(client, { tableName, events: [] })
  const meter = new Meter().attach(client)
  const pollIntervalMs = POLL_INTERVAL_MS / timeScale
  const worker =
    algorithm === "relay"
      ? new OutboxEventBus(
          new DynamoDBAwsSdkOutbox({
            client,
            tableName,
            // At their defaults where time is not scaled.
            pollIntervalMs,
            processingTimeoutMs: LEASE_MS / timeScale,
          }),
          (error) => {
            throw error
          },
        )
      : originalWorker({
          client,
          tableName,
          pollIntervalMs,
          handler: async () => {},
        })
  worker.start()
  // The first poll is that of a worker that starts.
  await delay(pollIntervalMs / 2)
  meter.take()
  await delay(windowMs)
  const counts = meter.take()
  await worker.stop()
  await dropTable(client, tableName)
  client.destroy()
  const row = {
    engine: engine.label,
    algorithm,
    requestsPerMinute: rounded((totalRequests(counts) * 60_000) / (windowMs * timeScale)),
    readUnitsPerMinute: rounded(((counts.tableRead + counts.indexRead) * 60_000) / (windowMs * timeScale)),
  }
  lab.log(`  ${JSON.stringify(row)}`)
  return row
}

function targets({ rows }: IdleResult) {
  return rows
    .filter(({ algorithm }) => algorithm === "relay")
    .map(({ engine, requestsPerMinute }) =>
      // A slow machine polls less often, never more.
      atMost(65, requestsPerMinute, {
        figure: `idle requests per worker and minute, ${engine}`,
        dependsOnTime: false,
      }),
    )
}

export const idleMeasure: Measure<IdleResult> = { name: "idle", run, targets }
