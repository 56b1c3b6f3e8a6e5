/**
 * How many events may be claimed ahead of their handlers. As in TCP's congestion control, the number finds itself: it
 * grows while handlers wait for claims, and shrinks when events wait for handlers or other workers are met.
 */

/**
 * At least enough to keep a connection pool busy with handlers that take no time. Handlers that all end at once, as those of a
 * batch do, should find as many events again, but a connection pool has no room for more than the most.
 */
const MAX_SIZE = { least: 24, most: 50 }
/** Among other workers, every claim under way may be lost at once. */
const MAX_SIZE_SHARED = 4
/** An event that waits longer than this for its handler was claimed too early. */
const LONG_WAIT_MS = 100

export class ClaimWindow {
  size = 1
  private maximum = 1
  private readonly limit: number

  /**
   * @param batchSize - The most events to claim ahead, at least 1.
   * @param concurrency - How many handlers may run at once, at least 1.
   */
  constructor(batchSize: number, concurrency: number) {
    this.limit = Math.min(batchSize, Math.max(MAX_SIZE.least, Math.min(concurrency, MAX_SIZE.most)))
    this.begin()
  }

  /**
   * A poll begins. No other workers have been met, and how long handlers take now is to be found out anew: a worker that
   * claims what it can't start yet keeps it from those that could.
   */
  begin(): void {
    this.size = 1
    this.maximum = this.limit
  }

  /** A claim was won while a handler could have started already. */
  handlerWaited(): void {
    this.size = Math.min(this.size + 1, this.maximum)
  }

  /** A handler starts with an event that was claimed `waitedMs` ago. */
  eventWaited(waitedMs: number): void {
    if (waitedMs > LONG_WAIT_MS) this.size = Math.max(1, Math.floor(this.size / 2))
  }

  /** Another worker was faster. */
  claimLost(): void {
    this.maximum = Math.min(MAX_SIZE_SHARED, this.limit)
    this.size = 1
  }

  /** Goes on one by one: from here it may be the wrong place, or the wrong moment, for more. */
  narrow(): void {
    this.size = 1
  }
}
