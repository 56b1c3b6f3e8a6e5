/** What all histories have in common: times, limits, workers, events; and how a step and a look are told of. */

export const START = Date.UTC(2030, 0, 1)
export const LEASE_MS = 30_000
export const MAX_RETRIES = 3
export const BASE_BACKOFF_MS = 1000
/** What the SDK tries before it gives up. */
export const ATTEMPTS = 2
export const WORKERS = 3
export const IDS = ["a", "b", "c"] as const

export type Projection = "ALL" | "KEYS_ONLY"

/** A row of the index, as a worker has read it. */
export interface SeenRow {
  id: string
  gsiSortKey: number
  /** `undefined` where the index carries the keys alone. */
  retryCount?: number
  occurredAt?: number
}

/** What a step came to, for whoever took it. */
export interface Outcome {
  result: string
  /** Names of the errors that were reported to `onError`. */
  reports: string[]
}

/** What a worker sees of the index, in a form that does not depend on the order of rows with equal keys. */
export function showRows(
  due: readonly SeenRow[],
  stuck: readonly SeenRow[],
  failed: readonly SeenRow[],
): string {
  const show = (rows: readonly SeenRow[]) =>
    rows
      .map(({ id, gsiSortKey }) => `${id}@${gsiSortKey - START}`)
      .sort()
      .join(" ")
  return `due: ${show(due)}; stuck: ${show(stuck)}; failed: ${show(failed)}`
}
