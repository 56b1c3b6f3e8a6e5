/** Formats the figures of outcomes as a table, for the terminal and for the documentation. */
import { CAUSES } from "./judge.ts"
import type { Outcome } from "./stage.ts"

export const COLUMNS = [
  "scenario",
  "events",
  "handler runs",
  "workers (killed)",
  "faults",
  "delivered again",
  "dead letters",
  "lost",
  "broken",
  "settled after",
] as const

/** One row: the figures of a scenario, aggregated over its outcomes. */
export function rowOf(outcomes: readonly Outcome[]): string[] {
  const sum = (figure: (outcome: Outcome) => number) =>
    outcomes.reduce((total, one) => total + figure(one), 0)
  const worst = (figure: (outcome: Outcome) => number) => Math.max(...outcomes.map(figure))
  const again = CAUSES.flatMap((cause) => {
    const count = sum(({ duplicates }) => duplicates[cause])
    return count > 0 ? `${count} ${cause}` : []
  })
  return [
    outcomes[0]?.scenario ?? "",
    String(sum(({ events }) => events)),
    String(sum(({ runs }) => runs)),
    `${sum(({ workers }) => workers)} (${sum(({ kills }) => kills)})`,
    String(sum(({ injected }) => injected)),
    again.join(", ") || "0",
    String(sum(({ deadLetters }) => deadLetters.length)),
    String(sum(({ lost }) => lost.length)),
    String(sum(({ broken }) => broken.length)),
    `${(worst(({ settledAfterMs }) => settledAfterMs) / 1000).toFixed(1)} s`,
  ]
}

const WIDTHS = [16, 6, 12, 16, 6, 26, 12, 4, 6, 13]

/** A line of the table on the terminal. */
export function line(cells: readonly string[]): string {
  return cells
    .map((cell, i) => {
      const width = WIDTHS[i] ?? 0
      return i === 0 || i === 5 ? cell.padEnd(width) : cell.padStart(width)
    })
    .join("  ")
}
