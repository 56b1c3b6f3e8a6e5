/** Rows that requests keep failing for: how long each is left alone, and whether it has been reported. */

/** After the first failure, most likely a lost request; doubled with each further one. */
const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 30_000
const MAX_ROWS = 10_000

export class TroubledRows {
  /** The oldest come first. */
  private readonly rows = new Map<string, { failures: number; isReported: boolean }>()

  has(id: string): boolean {
    return this.rows.has(id)
  }

  /** @returns for how long to leave the row alone, in milliseconds. */
  failed(id: string): number {
    const { failures, isReported } = this.rows.get(id) ?? { failures: 0, isReported: false }
    this.rows.delete(id)
    this.rows.set(id, { failures: failures + 1, isReported })
    if (this.rows.size > MAX_ROWS) this.rows.delete(this.rows.keys().next().value as string)
    return Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS)
  }

  /** Calls `report` for a row that has failed, unless that was done since it last succeeded. */
  reportOnce(id: string, report: () => void): void {
    const row = this.rows.get(id)
    if (!row || row.isReported) return
    row.isReported = true
    report()
  }

  succeeded(id: string): void {
    this.rows.delete(id)
  }
}
