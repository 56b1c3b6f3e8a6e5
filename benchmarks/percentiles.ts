// Owns how times become percentiles: Node's own HDR histogram, in microseconds.
import { createHistogram } from "node:perf_hooks"
import { rounded } from "./spread.ts"

/** Milliseconds. */
export interface Percentiles {
  count: number
  p50: number
  p90: number
  p99: number
  max: number
}

export function percentilesOf(milliseconds: readonly number[]): Percentiles {
  const histogram = createHistogram({ lowest: 1, highest: 600_000_000, figures: 3 })
  for (const ms of milliseconds) histogram.record(Math.max(1, Math.round(ms * 1000)))
  const ms = (microseconds: number) => rounded(microseconds / 1000)
  return {
    count: milliseconds.length,
    p50: ms(histogram.percentile(50)),
    p90: ms(histogram.percentile(90)),
    p99: ms(histogram.percentile(99)),
    max: ms(histogram.max),
  }
}
