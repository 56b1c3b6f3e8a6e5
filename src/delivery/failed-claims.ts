/**
 * Claims that failed: whether their rows are to blame or the database, and what is reported of them. One row that can't
 * be claimed stops nobody; the database is to blame if nothing in a poll succeeds.
 */
import type { Row } from "../state/status-index.ts"
import { TroubledRows } from "./troubled-rows.ts"

export class FailedClaims {
  private readonly troubled = new TroubledRows()
  /** Those of this poll, while nothing in it has succeeded. */
  private undecided: { row: Row; error: unknown; isKnown: boolean }[] = []

  /** @param report - Told of each row once, until a claim of it succeeds. */
  constructor(private readonly report: (row: Row, error: unknown) => void) {}

  /** @returns for how long to leave the row alone, in milliseconds. */
  add(row: Row, error: unknown): number {
    this.undecided.push({ row, error, isKnown: this.troubled.has(row.id) })
    return this.troubled.failed(row.id)
  }

  /** Like {@link add}, where it is known that the row is to blame. */
  blame(row: Row, error: unknown): number {
    const pauseMs = this.troubled.failed(row.id)
    this.troubled.reportOnce(row.id, () => this.report(row, error))
    return pauseMs
  }

  get count(): number {
    return this.undecided.length
  }

  succeeded(row: Row): void {
    this.troubled.succeeded(row.id)
    this.blameRows()
  }

  /** The database has carried out something else. */
  blameRows(): void {
    for (const { row, error } of this.undecided.splice(0)) {
      this.troubled.reportOnce(row.id, () => this.report(row, error))
    }
  }

  /**
   * Ends a poll.
   *
   * @param poll - Fails if the database is to blame: for all but a single row that has failed before.
   */
  end(poll: { fail(error: unknown): void; hasFailed: boolean }): void {
    const [first, ...others] = this.undecided
    if (first && (others.length > 0 || !first.isKnown)) poll.fail(first.error)
    if (poll.hasFailed) this.undecided = []
    else this.blameRows()
  }
}
