/** Where a relay's rows come from: the index, or a list that a caller has given. */
import type { Row } from "../state/status-index.ts"

export interface RowSource {
  /** There is nothing more to take or to read in this poll. */
  readonly isExhausted: boolean
  readonly isReading: boolean
  /** Due events may be left when there is nothing more to read. */
  readonly mayHaveMissed: boolean
  /** Starts a poll. */
  begin(): void
  /** Ends a poll. */
  end(): void
  /**
   * Whether to read another page.
   *
   * @param ahead - How many rows should be at hand.
   * @param canHandleNews - Whether what has become due meanwhile could be claimed at once.
   */
  wantsPage(ahead: number, canHandleNews: boolean): boolean
  /** Reads the next page. One read at a time. */
  readMore(): Promise<void>
  take(): Row | undefined
  won(): void
  /** Another worker was faster. */
  lost(row: Row): void
  /** A row could not be claimed: it is left alone for a while. */
  leaveAlone(row: Row, forMs: number): void
}

/** Rows that a caller has given: each is tried once, whatever becomes of the others. */
export class GivenRows implements RowSource {
  readonly isReading = false
  readonly mayHaveMissed = false

  constructor(private readonly rows: Row[]) {}

  get isExhausted(): boolean {
    return this.rows.length === 0
  }

  take(): Row | undefined {
    return this.rows.shift()
  }

  wantsPage(): boolean {
    return false
  }

  begin(): void {}
  end(): void {}
  async readMore(): Promise<void> {}
  won(): void {}
  lost(): void {}
  leaveAlone(): void {}
}
