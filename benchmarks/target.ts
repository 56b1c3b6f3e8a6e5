// Owns what a target is: a figure to reach, what was measured, and whether a slow machine could be the reason to miss it.
import type { Lab } from "./lab.ts"

export interface Target {
  figure: string
  /** What to reach, in words: "≥ 0.85". */
  toReach: string
  measured: string
  isMet: boolean
  /** Timings are never a reason for a run to fail. */
  dependsOnTime: boolean
}

/** A measure: one file, one result file, one part of the report. */
export interface Measure<Result> {
  name: string
  run(lab: Lab): Promise<Result>
  targets(result: Result): Target[]
}

type Figure = Omit<Target, "toReach" | "measured" | "isMet"> & { unit?: string }

export function atLeast(minimum: number, measured: number, { unit = "", ...figure }: Figure): Target {
  return {
    ...figure,
    toReach: `≥ ${show(minimum)}${unit}`,
    measured: `${show(measured)}${unit}`,
    isMet: measured >= minimum,
  }
}

export function atMost(maximum: number, measured: number, { unit = "", ...figure }: Figure): Target {
  return {
    ...figure,
    toReach: maximum === 0 ? `0${unit}` : `≤ ${show(maximum)}${unit}`,
    measured: `${show(measured)}${unit}`,
    isMet: measured <= maximum,
  }
}

function show(value: number): string {
  return String(Number(value.toFixed(value < 10 ? 3 : 1)))
}
