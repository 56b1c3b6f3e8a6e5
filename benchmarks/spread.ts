// Owns how several rounds become one figure.

/** A figure over rounds: the median is the result, lowest and highest show the spread. */
export interface Spread {
  median: number
  lowest: number
  highest: number
  rounds: number[]
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const median = ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2
  return {
    median: rounded(median),
    lowest: rounded(sorted[0] ?? 0),
    highest: rounded(sorted.at(-1) ?? 0),
    rounds: values.map(rounded),
  }
}

/** Four significant digits: more would only make changes of the results file look meaningful. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4))
}
