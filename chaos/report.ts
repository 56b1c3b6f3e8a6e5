/** Writes the figures of a run to `docs/reliability.md`, between two markers; the prose around them is handwritten. */
import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { COLUMNS, rowOf } from "./figures.ts"
import type { Outcome } from "./stage.ts"

const PAGE = new URL("../docs/reliability.md", import.meta.url)
const BEGIN = "<!-- chaos: figures begin -->"
const END = "<!-- chaos: figures end -->"

export interface Report {
  /** By the name of the engine. */
  outcomes: ReadonlyMap<string, readonly Outcome[]>
  seeds: readonly string[]
  minutes: number
  rate: number
}

export function writeReport(report: Report): void {
  const page = readFileSync(PAGE, "utf8")
  const [before, rest] = page.split(BEGIN)
  const after = rest?.split(END)[1]
  if (after === undefined) throw new Error(`${PAGE.pathname} has no markers ${BEGIN} and ${END}`)
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${render(report)}\n\n${END}${after}`)
}

function render({ outcomes, seeds, minutes, rate }: Report): string {
  const intro =
    `Seeds ${seeds.join(", ")}; each scenario for ${Math.round(minutes * 60)} seconds per seed, about ${rate} events a ` +
    `second. Counts are summed over the seeds, times are the longest. Revision ${revision()}, Node ${process.versions.node}, ` +
    `${cpus().length} processor cores for fleet and engine together.`
  const tables = [...outcomes].map(([engine, all]) => {
    const byScenario = new Map<string, Outcome[]>()
    for (const outcome of all)
      byScenario.set(outcome.scenario, [...(byScenario.get(outcome.scenario) ?? []), outcome])
    const rows = [...byScenario.values()].map((ofScenario) => markdownRow(rowOf(ofScenario)))
    const rule = markdownRow(COLUMNS.map((_, i) => (i === 0 || i === 5 ? "---" : "---:")))
    return [`### ${engine}`, "", markdownRow(COLUMNS), rule, ...rows].join("\n")
  })
  return [intro, ...tables].join("\n\n")
}

function revision(): string {
  return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim()
}

const markdownRow = (cells: readonly string[]) => `| ${cells.join(" | ")} |`
