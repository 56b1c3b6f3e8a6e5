// Measures the time from `emit` in another process to the start of the handler: what polling alone gives. The wall clock
// of the machine, which both processes read, counts whole milliseconds.
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { OutboxEventBus } from "outbox-event-bus"
import { DynamoDBAwsSdkOutbox } from "../../src/index.ts"
import type { Lab, LabEngine } from "../lab.ts"
import { createBacklog, dropTable, EVENT_TYPE } from "../load/backlog.ts"
import { WorkerProcess } from "../load/fleet.ts"
import { originalWorker } from "../load/original.ts"
import { type Percentiles, percentilesOf } from "../percentiles.ts"
import type { Measure } from "../target.ts"

interface RemoteLatencyRow extends Percentiles {
  engine: string
  algorithm: "relay" | "original"
}

export interface RemoteLatencyResult {
  pauseMs: number
  rows: RemoteLatencyRow[]
}

const PAUSE_MS = 200

/** Nearly all of this is waiting, so everything is measured at once. */
async function run(lab: Lab): Promise<RemoteLatencyResult> {
  const rows = await Promise.all(
    lab.engines.flatMap((engine) =>
      (["relay", "original"] as const).map((algorithm) => measure(lab, engine, algorithm)),
    ),
  )
  return { pauseMs: PAUSE_MS, rows }
}

async function measure(
  lab: Lab,
  engine: LabEngine,
  algorithm: "relay" | "original",
): Promise<RemoteLatencyRow> {
  const { endpoint } = engine
  const count = lab.settings.latency.remoteEmits
  const client = clientFor(endpoint)
  const tableName = lab.newTableName()
  await createBacklog(client, { tableName, events: [] })
  const emitter = await WorkerProcess.start()
  const latencies: number[] = []
  let onAll = () => {}
  const all = new Promise<void>((resolve) => {
    onAll = resolve
  })
  const handler = async ({ occurredAt }: { occurredAt: Date }) => {
    latencies.push(Date.now() - occurredAt.getTime())
    if (latencies.length >= count) onAll()
  }
  const worker =
    algorithm === "relay"
      ? new OutboxEventBus(new DynamoDBAwsSdkOutbox({ client, tableName }), (error) => {
          throw error
        }).on(EVENT_TYPE, handler)
      : originalWorker({ client, tableName, handler })
  worker.start()
  emitter.send({ kind: "emit", endpoint, tableName, count, pauseMs: PAUSE_MS, seed: lab.settings.seed })
  await all
  await worker.stop()
  emitter.end()
  await dropTable(client, tableName)
  client.destroy()
  const row = { engine: engine.label, algorithm, ...percentilesOf(latencies) }
  lab.log(`  ${JSON.stringify(row)}`)
  return row
}

export const remoteLatencyMeasure: Measure<RemoteLatencyResult> = {
  name: "remote-latency",
  run,
  targets: () => [],
}
