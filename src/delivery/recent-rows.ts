/**
 * Remembers the index rows this worker has just tried to claim, so that a lagging index that shows them again does
 * not cause a refused (and billed) write.
 */
import type { Row } from "../state/status-index.ts"

/** Longer than an index lags; short enough that nothing waits long should it be mistaken. */
const REMEMBER_OWN_MS = 10_000
/** Shorter: the winner may give the event back, under the same sort key. */
const REMEMBER_LOST_MS = 2000
const MAX_ROWS = 10_000

/**
 * A row is known by its id *and* its sort key: an event that became due anew has another sort key, and is news.
 */
export class RecentRows {
  /** In order of insertion, so the oldest come first. */
  private readonly rows = new Map<string, { gsiSortKey: string | undefined; until: number }>()

  /** This worker claims the row. */
  claimed(row: Row, now: number): void {
    this.remember(row, now + REMEMBER_OWN_MS, now)
  }

  /** Another worker was faster. */
  lost(row: Row, now: number): void {
    this.remember(row, now + REMEMBER_LOST_MS, now)
  }

  /** The row could not be claimed, also under the sort key that undoing the claim may have given it. */
  leaveAlone({ id }: Row, now: number, forMs: number): void {
    this.remember({ id }, now + forMs, now)
  }

  has(row: Row, now: number): boolean {
    const known = this.rows.get(row.id)
    return (
      known !== undefined &&
      known.until > now &&
      (known.gsiSortKey === undefined || known.gsiSortKey === String(row.gsiSortKey))
    )
  }

  private remember(row: Row, until: number, now: number): void {
    this.rows.delete(row.id)
    const gsiSortKey = row.gsiSortKey === undefined ? undefined : String(row.gsiSortKey)
    this.rows.set(row.id, { gsiSortKey, until })
    for (const [id, oldest] of this.rows) {
      if (oldest.until > now && this.rows.size <= MAX_ROWS) break
      this.rows.delete(id)
    }
  }
}
