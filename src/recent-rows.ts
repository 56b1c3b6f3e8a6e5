/**
 * Remembers the index rows this worker has just tried to claim, so that a lagging index that shows them again does
 * not cause a refused (and billed) write.
 */
import type { Row } from "./status-index.ts"

/** Longer than an index lags; short enough that nothing waits long should it be mistaken. */
const REMEMBER_MS = 10_000
const MAX_ROWS = 10_000

/**
 * A row is known by its id *and* its sort key: an event that became due anew has another sort key, and is news.
 */
export class RecentRows {
  /** In order of insertion, so the oldest come first. */
  private readonly rows = new Map<string, { gsiSortKey: string; until: number }>()

  add(row: Row, now: number): void {
    this.rows.delete(row.id)
    this.rows.set(row.id, { gsiSortKey: String(row.gsiSortKey), until: now + REMEMBER_MS })
    for (const [id, { until }] of this.rows) {
      if (until > now && this.rows.size <= MAX_ROWS) break
      this.rows.delete(id)
    }
  }

  has(row: Row, now: number): boolean {
    const known = this.rows.get(row.id)
    return known !== undefined && known.until > now && known.gsiSortKey === String(row.gsiSortKey)
  }

  /** The event may come back under the same sort key: it was released. */
  forget(id: string): void {
    this.rows.delete(id)
  }
}
