// Owns the tables of the report: each a block of Markdown made of one result.

import { writeUnits } from "../measures/units.ts"
import type { Spread } from "../spread.ts"
import type { Target } from "../target.ts"
import type { Machine, Results } from "./results.ts"

function table(head: string[], rows: Array<Array<string | number>>): string {
  const line = (cells: Array<string | number>) => `| ${cells.join(" | ")} |`
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n")
}

export function targetsTable(targets: Target[]): string {
  return table(
    ["figure", "target", "measured", ""],
    targets.map(({ figure, toReach, measured, isMet }) => [
      figure,
      toReach,
      measured,
      isMet ? "met" : "**missed**",
    ]),
  )
}

export function machineTable(machines: Partial<Record<string, Machine>>): string {
  const rows = Object.entries(machines).flatMap(([name, machine]) =>
    machine
      ? [
          [
            name,
            machine.takenAt.slice(0, 16).replace("T", " "),
            machine.node,
            `${machine.cores} × ${machine.cpu}`,
            machine.engines.join(", "),
          ],
        ]
      : [],
  )
  return table(["measure", "taken (UTC)", "Node", "cores", "engines"], rows)
}

export function drainTable({ rows, limitInFlight }: Results["drain"]): string {
  const sorted = [...rows].sort(
    (a, b) =>
      b.engine.localeCompare(a.engine) ||
      a.handlerMs - b.handlerMs ||
      b.size.localeCompare(a.size) ||
      a.eventsPerSecond.median - b.eventsPerSecond.median,
  )
  const drains = table(
    ["engine", "events", "handler", "drained by", "backlog", "events/s", "CPU ms/event"],
    sorted.map((row) => [
      row.engine,
      row.size,
      row.handlerMs === 0 ? "nothing" : `${row.handlerMs} ms`,
      row.drainer,
      row.events,
      spread(row.eventsPerSecond),
      spread(row.cpuMsPerEvent),
    ]),
  )
  const tries = Object.entries(limitInFlight).map(([engine, { best, tried }]) => {
    const numbers = Object.entries(tried).sort(([a], [b]) => Number(a) - Number(b))
    return `- ${engine}: ${numbers.map(([n, rate]) => `${n}: ${Math.round(rate)}`).join(", ")}; ${best} was used.`
  })
  return `${drains}\n\nEvents per second of the bare loop by the number of requests in flight:\n\n${tries.join("\n")}`
}

export function fleetTable({ rows }: Results["fleet"]): string {
  const sorted = [...rows].sort(
    (a, b) =>
      b.engine.localeCompare(a.engine) || b.algorithm.localeCompare(a.algorithm) || a.workers - b.workers,
  )
  return table(
    [
      "engine",
      "algorithm",
      "workers",
      "events",
      "seconds",
      "refused writes/event",
      "requests/event",
      "duplicates",
    ],
    sorted.map((row) => [
      row.engine,
      row.algorithm === "relay" ? "this outbox" : "the original's",
      row.workers,
      row.events,
      spread(row.seconds),
      spread(row.refusedPerEvent),
      spread(row.requestsPerEvent),
      row.duplicates,
    ]),
  )
}

export function unitsTable({ rows }: Results["units"]): string {
  return table(
    [
      "engine",
      "index",
      "events",
      "requests",
      "publish: table + index",
      "deliver: table + index",
      "write units",
      "read units",
    ],
    rows.map((row) => [
      row.engine,
      row.projection,
      row.size,
      `${number(row.publish.requests)} + ${number(row.deliver.requests)}`,
      `${number(row.publish.tableWrite)} + ${number(row.publish.indexWrite)}`,
      `${number(row.deliver.tableWrite)} + ${number(row.deliver.indexWrite)}`,
      `**${number(writeUnits(row))}**`,
      number(row.deliver.tableRead + row.deliver.indexRead),
    ]),
  )
}

export function latencyTable({ rows }: Results["latency"]): string {
  return table(
    ["engine", "emits", "p50", "p90", "p99", "max", "`emit` itself, p50"],
    rows.map(({ engine, count, p50, p90, p99, max, emit }) => [
      engine,
      count,
      ...[p50, p90, p99, max, emit.p50].map((ms) => `${number(ms)} ms`),
    ]),
  )
}

export function remoteLatencyTable({ rows }: Results["remote-latency"]): string {
  return table(
    ["engine", "algorithm", "emits", "p50", "p90", "p99", "max"],
    rows.map(({ engine, algorithm, count, p50, p90, p99, max }) => [
      engine,
      algorithm === "relay" ? "this outbox" : "the original's",
      count,
      ...[p50, p90, p99, max].map((ms) => `${Math.round(ms)} ms`),
    ]),
  )
}

export function idleTable({ rows }: Results["idle"]): string {
  return table(
    ["engine", "algorithm", "requests a minute", "read units a minute"],
    rows.map((row) => [
      row.engine,
      row.algorithm === "relay" ? "this outbox" : "the original's",
      row.requestsPerMinute,
      row.readUnitsPerMinute,
    ]),
  )
}

export function memoryTable({ rows }: Results["memory"]): string {
  return table(
    [
      "backlog",
      "live heap before",
      "halfway",
      "after",
      "resident before",
      "highest resident",
      "CPU ms/event",
    ],
    rows.map((row) => [
      row.backlog.toLocaleString("en-US"),
      ...[row.heapBefore, row.heapHalfWay, row.heapAfter, row.rssBefore, row.rssHighest].map(
        (megabytes) => `${number(megabytes)} MB`,
      ),
      number(row.cpuMsPerEvent),
    ]),
  )
}

export function batchingTable({ rows }: Results["batching"]): string {
  return table(
    ["engine", "`concurrency`", "sends", "events per send", "events/s"],
    rows.map((row) => [
      row.engine,
      row.concurrency,
      row.sends,
      number(row.eventsPerSend),
      Math.round(row.eventsPerSecond),
    ]),
  )
}

export function streamTable({ rows }: Results["stream"]): string {
  return table(
    ["engine", "requests/event", "write units", "read units", "commit to handler, p50", "p99"],
    rows.map((row) => [
      row.engine,
      number(row.requestsPerEvent),
      number(row.writeUnitsPerEvent),
      number(row.readUnitsPerEvent),
      `${number(row.p50Ms)} ms`,
      `${number(row.p99Ms)} ms`,
    ]),
  )
}

export function invocationsTable({ rows }: Results["invocations"]): string {
  return table(
    [
      "engine",
      "`concurrency`",
      "delivered by each invocation",
      "time of the last one",
      "longest",
      "left claimed",
    ],
    rows.map((row) => [
      row.engine,
      row.concurrency,
      row.delivered.join(", "),
      `${(row.lastMs / 1000).toFixed(1)} s`,
      `${(row.longestMs / 1000).toFixed(1)} s`,
      row.leftClaimed,
    ]),
  )
}

export function coldStartTable({ rows }: Results["cold-start"]): string {
  return table(
    ["entry point", "bundle, minified", "loading it"],
    rows.map(({ entry, kilobytes, importMs }) => [
      entry,
      `${number(kilobytes)} KB`,
      `${spread(importMs)} ms`,
    ]),
  )
}

export function openTelemetryTable({ rows }: Results["opentelemetry"]): string {
  return table(
    ["outbox", "events/s", "CPU ms/event"],
    rows.map(({ variant, eventsPerSecond, cpuMsPerEvent }) => [
      variant,
      spread(eventsPerSecond),
      spread(cpuMsPerEvent),
    ]),
  )
}

function spread({ median, lowest, highest }: Spread): string {
  if (lowest === highest) return number(median)
  return `${number(median)} (${number(lowest)}–${number(highest)})`
}

function number(value: number): string {
  return String(Number(value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)))
}
