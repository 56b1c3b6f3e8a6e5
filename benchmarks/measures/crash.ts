// Measures what one crash costs: a worker dies with all its handlers running, and another one takes over, while other
// events keep coming. How soon all is settled, and how busy the second worker's slots are while it handles suspects.
import { fork } from "node:child_process"
import { once } from "node:events"
import { setTimeout as delay } from "node:timers/promises"
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { DynamoDBAwsSdkOutbox } from "../../src/index.ts"
import type { Lab, LabEngine } from "../lab.ts"
import { createBacklog, dropTable, newEvent, overdueEvents } from "../load/backlog.ts"
import { rounded } from "../spread.ts"
import { atLeast, atMost, type Measure } from "../target.ts"

const CONCURRENCY = 50
const HANDLER_MS = 200
const SAMPLE_MS = 5
/** Ordinary events that keep coming: by themselves they need fewer than half of the slots. */
const OTHERS = { count: 10, everyMs: 100 }

export interface CrashResult {
  leaseMs: number
  rows: Array<{
    engine: string
    /** From the crash until every event that was under way is settled. */
    settledInLeases: number
    /** Share of the slots that are busy from the first start of a suspect to the last one; the mean of samples. */
    busySlots: number
    /** Handlers that ran more than once in the second worker. */
    duplicates: number
  }>
}

async function run(lab: Lab): Promise<CrashResult> {
  const { leaseMs } = lab.settings.crash
  const rows: CrashResult["rows"] = []
  for (const engine of lab.engines) {
    const row = { engine: engine.label, ...(await crashOnce(lab, engine, leaseMs)) }
    rows.push(row)
    lab.log(`  ${JSON.stringify(row)}`)
  }
  return { leaseMs, rows }
}

async function crashOnce(lab: Lab, { endpoint }: LabEngine, leaseMs: number) {
  const client = clientFor(endpoint)
  const tableName = lab.newTableName()
  const events = overdueEvents(CONCURRENCY)
  await createBacklog(client, { tableName, events })
  await dieWithAllSlotsBusy(endpoint, tableName, leaseMs)
  const crashedAt = performance.now()
  const underWay = new Set(events.map(({ id }) => id))

  const starts: { id: string; at: number }[] = []
  const samples: { at: number; busy: number }[] = []
  let busy = 0
  const outbox = new DynamoDBAwsSdkOutbox({
    client,
    tableName,
    concurrency: CONCURRENCY,
    processingTimeoutMs: leaseMs,
  })
  const sampling = setInterval(() => samples.push({ at: performance.now(), busy }), SAMPLE_MS)
  const settled = new Promise<number>((resolve) => {
    const left = new Set(underWay)
    outbox.start(
      async ({ id }) => {
        starts.push({ id, at: performance.now() })
        busy++
        await delay(HANDLER_MS)
        busy--
        left.delete(id)
        if (left.size === 0) resolve(performance.now())
      },
      // Recovery reports each event that it finds.
      () => {},
    )
  })
  let others = CONCURRENCY
  const publishing = setInterval(() => {
    const some = Array.from({ length: OTHERS.count }, () => newEvent("300 B", others++, new Date()))
    void outbox.publish(some)
  }, OTHERS.everyMs)
  const settledAt = await settled
  clearInterval(sampling)
  clearInterval(publishing)
  await outbox.stop()
  await dropTable(client, tableName)
  client.destroy()

  const ofSuspects = starts.filter(({ id }) => underWay.has(id)).map(({ at }) => at)
  const during = samples.filter(({ at }) => at >= Math.min(...ofSuspects) && at <= Math.max(...ofSuspects))
  const meanBusy = during.reduce((sum, sample) => sum + sample.busy, 0) / during.length
  return {
    settledInLeases: rounded((settledAt - crashedAt) / leaseMs),
    busySlots: rounded(meanBusy / CONCURRENCY),
    duplicates: starts.length - new Set(starts.map(({ id }) => id)).size,
  }
}

async function dieWithAllSlotsBusy(endpoint: string, tableName: string, leaseMs: number): Promise<void> {
  const worker = fork(new URL("../load/crashing-process.ts", import.meta.url), [
    endpoint,
    tableName,
    String(CONCURRENCY),
    String(leaseMs),
  ])
  await once(worker, "message")
  worker.kill("SIGKILL")
  await once(worker, "exit")
}

function targets({ rows }: CrashResult) {
  return rows.flatMap(({ engine, settledInLeases, busySlots }) => [
    atMost(2, settledInLeases, {
      figure: `${CONCURRENCY} events under way when their worker crashes: settled, ${engine}`,
      unit: " leases",
      dependsOnTime: true,
    }),
    atLeast(0.5, busySlots, {
      figure: `slots busy meanwhile, ${engine}`,
      dependsOnTime: true,
    }),
  ])
}

export const crashMeasure: Measure<CrashResult> = { name: "crash", run, targets }
