// Measures memory and CPU of a worker with a small and a large backlog, each in a fresh process. The engine hardly matters
// here, so the first one is used alone.
import { fork } from "node:child_process"
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import type { Lab } from "../lab.ts"
import { createBacklog, dropTable, overdueEvents } from "../load/backlog.ts"
import type { MemoryReport } from "../load/memory-process.ts"
import { rounded } from "../spread.ts"
import { atMost, type Measure } from "../target.ts"

export interface MemoryResult {
  engine: string
  warmUpEvents: number
  rows: Array<{ backlog: number } & MemoryReport>
}

async function run(lab: Lab): Promise<MemoryResult> {
  const [engine] = lab.engines
  if (!engine) throw new Error("There is no engine.")
  const { backlogs, warmUpEvents } = lab.settings.memory
  const rows: MemoryResult["rows"] = []
  for (const backlog of backlogs) {
    const client = clientFor(engine.endpoint)
    const warmUpTable = lab.newTableName()
    const tableName = lab.newTableName()
    await createBacklog(client, { tableName: warmUpTable, events: overdueEvents(warmUpEvents) })
    await createBacklog(client, { tableName, events: overdueEvents(backlog) })
    const report = await watched([
      engine.endpoint,
      warmUpTable,
      String(warmUpEvents),
      tableName,
      String(backlog),
    ])
    await dropTable(client, warmUpTable)
    await dropTable(client, tableName)
    client.destroy()
    rows.push({ backlog, ...report })
    lab.log(`  ${JSON.stringify(rows.at(-1))}`)
  }
  return { engine: engine.label, warmUpEvents, rows }
}

async function watched(args: string[]): Promise<MemoryReport> {
  const child = fork(new URL("../load/memory-process.ts", import.meta.url), args, {
    execArgv: [...process.execArgv, "--expose-gc"],
  })
  const report = await new Promise<MemoryReport>((resolve, reject) => {
    child.once("message", resolve as (message: unknown) => void)
    child.once("exit", (code) => reject(new Error(`The process that was watched ended with code ${code}.`)))
  })
  return Object.fromEntries(
    Object.entries(report).map(([name, value]) => [name, rounded(value)]),
  ) as unknown as MemoryReport
}

function targets({ rows }: MemoryResult) {
  const [small, large] = rows
  if (!small || !large) return []
  const figure = `from a backlog of ${small.backlog} to ${large.backlog}`
  const figures = { dependsOnTime: true, unit: " MB" }
  return [
    atMost(30, large.rssHighest - small.rssHighest, {
      figure: `growth of resident memory ${figure}`,
      ...figures,
    }),
    atMost(30, large.heapHalfWay - small.heapHalfWay, {
      figure: `growth of the live heap ${figure}`,
      ...figures,
    }),
  ]
}

export const memoryMeasure: Measure<MemoryResult> = { name: "memory", run, targets }
