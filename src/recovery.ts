/** When to look for events whose lease is over, and how: only as often as leases need it, page by page. */
import { forEachBounded } from "./bounded.ts"
import type { StuckEvents } from "./event-life.ts"
import type { Page, Row } from "./status-index.ts"

const RECOVERIES_AT_ONCE = 10

export class Recovery {
  private nextAt = 0
  private isStopping = false

  /** @param options - `intervalMs`: the least time between two looks; `batchSize`: rows in a page. */
  constructor(
    private readonly events: StuckEvents,
    private readonly options: { intervalMs: number; batchSize: number },
  ) {}

  /** Begins nothing more. What is left, other workers find, or the next start: a stop must not wait for a long list. */
  stop(): void {
    this.isStopping = true
  }

  /** @throws the first error, after all other events have been seen to; the next call then looks again at once. */
  async runIfDue(): Promise<void> {
    if (this.isStopping || Date.now() < this.nextAt) return
    const errors: unknown[] = []
    let startAfter: Page["next"]
    do {
      const { rows, next } = await this.events.stuck({ limit: this.options.batchSize, startAfter })
      errors.push(
        ...(await forEachBounded(rows, RECOVERIES_AT_ONCE, (row) => this.recoverUnlessStopping(row))),
      )
      startAfter = next
    } while (startAfter && !this.isStopping)
    if (errors.length > 0) throw errors[0]
    this.nextAt = Date.now() + this.options.intervalMs
  }

  private async recoverUnlessStopping(row: Row): Promise<void> {
    if (!this.isStopping) await this.events.recover(row)
  }
}
