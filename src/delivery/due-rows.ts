/**
 * Where the next due events come from: follows the index page by page, skips what this worker has just seen, and
 * keeps out of the way of other workers.
 *
 * Workers do not know of each other. One that loses a claim learns that another works on these rows, and goes on at a
 * random point between the longest and the latest due event. So workers spread over a backlog without any agreement, and
 * refused claims stay rare.
 */

import type { Page } from "../database/requests.ts"
import { numberOf } from "../item/stored-value.ts"
import type { DuePageRequest, Row } from "../state/status-index.ts"
import { RecentRows } from "./recent-rows.ts"
import type { RowSource } from "./row-source.ts"

/** Where a page begins; `{}` is the start: the event that is due longest. */
type Place = Pick<DuePageRequest, "from" | "startAfter">

/** So many lost claims in a row mean that there are more workers than events: leave these to them. */
const GIVE_UP_AFTER_LOSSES = 2

export class DueRows implements RowSource {
  /** There is nothing more to read in this poll. */
  isExhausted = true
  /** Due events may be left when there is nothing more to read: they were left to other workers. */
  mayHaveMissed = false
  isReading = false

  /** Other workers have been met in this poll. */
  private isShared = false
  private rows: Row[] = []
  private readonly recent = new RecentRows()
  private next: Place | "elsewhere" = {}
  /** News has been seen since the index was last read from its start. */
  private foundNews = false
  /** All due events are in `rows`, or taken. */
  private hasAll = false
  private oldest: number | undefined
  private newest: number | undefined
  private losses = 0

  constructor(
    private readonly read: (request: DuePageRequest) => Promise<Page>,
    private readonly pageSize: number,
    private readonly onPage: (rows: number, news: number) => void = () => {},
  ) {}

  /** Starts a poll, with the event that is due longest. */
  begin(): void {
    this.isShared = false
    this.isExhausted = false
    this.mayHaveMissed = false
    this.losses = 0
    this.newest = undefined
    this.goTo({})
  }

  /** Ends a poll. What was read but not taken is forgotten: by the next poll it would be old. */
  end(): void {
    this.isExhausted = true
    this.goTo({})
  }

  /**
   * Whether to read another page.
   *
   * @param ahead - How many rows should be at hand.
   * @param canHandleNews - Whether what has become due meanwhile could be claimed at once.
   */
  wantsPage(ahead: number, canHandleNews: boolean): boolean {
    if (this.isReading || this.isExhausted) return false
    // Among other workers, rows that are read ahead are mostly taken by the time they are claimed.
    if (this.rows.length >= (this.isShared ? 1 : ahead)) return false
    // The start of the index would show once more what is at hand already.
    return !this.rereadsStart || (this.rows.length === 0 && canHandleNews)
  }

  /** The next page begins at the start again, to see what has become due meanwhile. */
  private get rereadsStart(): boolean {
    return this.next !== "elsewhere" && this.next.startAfter === undefined
  }

  take(): Row | undefined {
    const row = this.rows.shift()
    if (row) this.recent.claimed(row, performance.now())
    return row
  }

  won(): void {
    this.losses = 0
  }

  /** Another worker was faster: it works on these rows, so go elsewhere. */
  lost(row: Row): void {
    this.recent.lost(row, performance.now())
    this.isShared = true
    this.losses++
    if (this.losses >= GIVE_UP_AFTER_LOSSES) {
      this.mayHaveMissed = true
      this.end()
    } else if (this.hasAll) {
      this.rows.splice(0, 1 + Math.floor(Math.random() * this.rows.length))
    } else {
      this.goTo("elsewhere")
    }
  }

  /** A row could not be claimed: it is left alone for a while. */
  leaveAlone(row: Row, forMs: number): void {
    this.recent.leaveAlone(row, performance.now(), forMs)
  }

  /** Reads the next page. One read at a time. */
  async readMore(): Promise<void> {
    this.isReading = true
    const { next } = this
    try {
      const place = next === "elsewhere" ? await this.randomPlace() : next
      const page = await this.read({ ...place, limit: this.pageSize })
      // Rows from a place that has been left meanwhile are of no use.
      if (next === this.next) this.accept(page, place)
    } finally {
      this.isReading = false
    }
  }

  private accept(page: Page, place: Place): void {
    const now = performance.now()
    const isStart = place.startAfter === undefined && place.from === undefined
    const news = page.rows.filter((row) => !this.recent.has(row, now))
    this.onPage(page.rows.length, news.length)
    if (isStart) {
      this.oldest = numberOf(page.rows[0]?.gsiSortKey)
      this.foundNews = false
    }
    this.foundNews ||= news.length > 0
    this.hasAll = isStart && page.next === undefined
    this.rows.push(...news)

    if (page.next) this.next = { from: place.from, startAfter: page.next }
    else if (this.foundNews) this.next = {}
    else this.isExhausted = true
  }

  private async randomPlace(): Promise<Place> {
    if (this.newest === undefined) {
      const { rows } = await this.read({ limit: 1, newestFirst: true })
      this.newest = numberOf(rows[0]?.gsiSortKey)
    }
    if (this.oldest === undefined || this.newest === undefined) return {}
    return { from: this.oldest + Math.floor(Math.random() * (this.newest - this.oldest)) }
  }

  private goTo(next: Place | "elsewhere"): void {
    this.rows = []
    this.next = next
  }
}
