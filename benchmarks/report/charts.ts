// Owns which charts there are, and what they show of the results.
import { writeUnits } from "../measures/units.ts"
import { type Bar, type BarChart, barChart } from "./bar-chart.ts"
import type { Results } from "./results.ts"

/** File name → SVG, for the results there are. */
export function charts(results: Partial<Results>): Record<string, string> {
  return {
    ...(results.drain && { "drain.svg": barChart(drainChart(results.drain)) }),
    ...(results.fleet && { "refused.svg": barChart(refusedChart(results.fleet)) }),
    ...(results.units && { "units.svg": barChart(unitsChart(results.units)) }),
    ...(results.latency &&
      results["remote-latency"] && {
        "latency.svg": barChart(latencyChart(results.latency, results["remote-latency"])),
      }),
  }
}

function drainChart({ rows }: Results["drain"]): BarChart {
  const order = ["original", "defaults", "concurrency 50", "limit"]
  const shown = rows.filter(({ size, handlerMs }) => size === "300 B" && handlerMs === 0)
  return {
    title: "Draining a backlog: events per second (300 B, handlers that do nothing)",
    series: ["this outbox", "for comparison"],
    groups: enginesOf(shown).map((engine) => ({
      title: engine,
      bars: order.flatMap((drainer) =>
        shown
          .filter((row) => row.engine === engine && row.drainer === drainer)
          .map(({ eventsPerSecond: { median, lowest, highest } }): Bar => {
            const isOurs = drainer === "defaults" || drainer === "concurrency 50"
            return {
              label:
                drainer === "limit"
                  ? "the limit (bare loop)"
                  : drainer === "original"
                    ? "the original's algorithm"
                    : drainer,
              parts: [{ series: isOurs ? "this outbox" : "for comparison", value: median }],
              range: { lowest, highest },
              text: String(Math.round(median)),
            }
          }),
      ),
    })),
  }
}

function refusedChart({ rows }: Results["fleet"]): BarChart {
  return {
    title: "Refused (and billed) writes per event",
    series: ["this outbox", "the original's algorithm"],
    groups: enginesOf(rows).map((engine) => ({
      title: engine,
      bars: rows
        .filter((row) => row.engine === engine && row.workers > 1)
        .sort((a, b) => a.workers - b.workers || b.algorithm.localeCompare(a.algorithm))
        .map(
          ({ workers, algorithm, refusedPerEvent: { median } }): Bar => ({
            label: `${workers} workers`,
            parts: [
              { series: algorithm === "relay" ? "this outbox" : "the original's algorithm", value: median },
            ],
            text: String(Number(median.toFixed(3))),
          }),
        ),
    })),
  }
}

function unitsChart({ rows }: Results["units"]): BarChart {
  const shown = rows.filter(({ engine }) => engine === enginesOf(rows)[0])
  return {
    title: "Write units per delivered event, publish included",
    series: ["publish, table", "publish, index", "claim and complete, table", "claim and complete, index"],
    groups: (["300 B", "10 KB"] as const).map((size) => ({
      title: `events of ${size}`,
      bars: shown
        .filter((row) => row.size === size)
        .map(
          (row): Bar => ({
            label: `index ${row.projection}`,
            parts: [
              { series: "publish, table", value: row.publish.tableWrite },
              { series: "publish, index", value: row.publish.indexWrite },
              { series: "claim and complete, table", value: row.deliver.tableWrite },
              { series: "claim and complete, index", value: row.deliver.indexWrite },
            ],
            text: String(Number(writeUnits(row).toFixed(1))),
          }),
        ),
    })),
  }
}

function latencyChart(local: Results["latency"], remote: Results["remote-latency"]): BarChart {
  const bars = (name: string, { p50, p99 }: { p50: number; p99: number }): Bar[] => [
    { label: `${name}, p50`, parts: [{ series: "p50", value: p50 }], text: `${Math.round(p50)} ms` },
    { label: `${name}, p99`, parts: [{ series: "p99", value: p99 }], text: `${Math.round(p99)} ms` },
  ]
  return {
    title: "From emit to handler, milliseconds",
    series: ["p50", "p99"],
    groups: local.rows.map((row) => ({
      title: row.engine,
      bars: [
        ...bars("same process", row),
        ...remote.rows
          .filter(({ engine }) => engine === row.engine)
          .flatMap((other) => bars(other.algorithm === "relay" ? "other process" : "the original", other)),
      ],
    })),
  }
}

function enginesOf(rows: ReadonlyArray<{ engine: string }>): string[] {
  return [...new Set(rows.map(({ engine }) => engine))].sort().reverse()
}
