// Owns docs/performance.md: fills the blocks between its markers from the result files, and leaves the prose alone.
import { readFile, writeFile } from "node:fs/promises"
import type { Measure, Target } from "../target.ts"
import { charts } from "./charts.ts"
import { FILES, loadResult, type Machine, REPORT, type ResultName, type Results } from "./results.ts"
import * as tables from "./tables.ts"

/** @param measures - All of them, in the order in which their targets are listed. */
export async function writeReport(
  measures: ReadonlyArray<Pick<Measure<never>, "name" | "targets">>,
): Promise<void> {
  const results: Partial<Results> = {}
  const machines: Partial<Record<string, Machine>> = {}
  const targets: Target[] = []
  for (const { name, targets: targetsOf } of measures) {
    const saved = await loadResult(name as ResultName)
    if (!saved) continue
    Object.assign(results, { [name]: saved.result })
    machines[name] = saved.machine
    targets.push(...targetsOf(saved.result as never))
  }
  for (const [name, svg] of Object.entries(charts(results))) await writeFile(new URL(name, FILES), svg)

  let report = await readFile(REPORT, "utf8")
  for (const [name, content] of Object.entries(blocks(results, machines, targets))) {
    report = withBlock(report, name, content)
  }
  await writeFile(REPORT, report)
}

function blocks(
  results: Partial<Results>,
  machines: Partial<Record<string, Machine>>,
  targets: Target[],
): Record<string, string> {
  const made: Record<string, string | undefined> = {
    targets: tables.targetsTable(targets),
    machine: tables.machineTable(machines),
    drain: results.drain && tables.drainTable(results.drain),
    fleet: results.fleet && tables.fleetTable(results.fleet),
    units: results.units && tables.unitsTable(results.units),
    latency: results.latency && tables.latencyTable(results.latency),
    "remote-latency": results["remote-latency"] && tables.remoteLatencyTable(results["remote-latency"]),
    idle: results.idle && tables.idleTable(results.idle),
    memory: results.memory && tables.memoryTable(results.memory),
    stream: results.stream && tables.streamTable(results.stream),
    invocations: results.invocations && tables.invocationsTable(results.invocations),
    "cold-start": results["cold-start"] && tables.coldStartTable(results["cold-start"]),
    opentelemetry: results.opentelemetry && tables.openTelemetryTable(results.opentelemetry),
    batching: results.batching && tables.batchingTable(results.batching),
  }
  return Object.fromEntries(
    Object.entries(made).flatMap(([name, content]) => (content === undefined ? [] : [[name, content]])),
  )
}

function withBlock(report: string, name: string, content: string): string {
  const begin = `<!-- ${name}: written by npm run bench -->`
  const end = `<!-- end of ${name} -->`
  const from = report.indexOf(begin)
  const to = report.indexOf(end)
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no block "${begin}" … "${end}".`)
  return `${report.slice(0, from + begin.length)}\n\n${content}\n\n${report.slice(to)}`
}
