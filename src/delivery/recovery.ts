/** When to look for events whose lease has expired, and how: only as often as leases need it, page by page. */

import { ValidationError } from "outbox-event-bus"
import { forEachBounded } from "../database/bounded.ts"
import type { Page } from "../database/requests.ts"
import { Diagnostics } from "../process/diagnostics.ts"
import type { Row } from "../state/status-index.ts"
import type { StuckEvents } from "./event-operations.ts"
import { TroubledRows } from "./troubled-rows.ts"

const RECOVERIES_AT_ONCE = 10

export class Recovery {
  /** On the clock of `performance`: one that is set back must not stop the look for expired leases. */
  private nextAt = 0
  private readonly troubled = new TroubledRows()
  /** By the clock of `performance`; `undefined` while nobody has asked for a stop. */
  private stopsAt: number | undefined

  /** @param options - `intervalMs`: the least time between two looks; `batchSize`: rows in a page. `isHeldHere`: whether this process holds an event in time. */
  constructor(
    private readonly events: StuckEvents,
    private readonly options: { intervalMs: number; batchSize: number },
    private readonly isHeldHere: (id: string) => boolean,
    private readonly diagnostics = new Diagnostics("outbox"),
  ) {}

  /**
   * Reads no further page, and begins nothing more after `afterMs`. What is left, other workers find, or the next start:
   * a stop must not wait for a long list.
   */
  stop({ afterMs = 0 } = {}): void {
    this.stopsAt = performance.now() + afterMs
  }

  private get hasStopped(): boolean {
    return this.stopsAt !== undefined && performance.now() >= this.stopsAt
  }

  /**
   * An event that can't be recovered is reported once, and the others are seen to.
   * @throws the first error, if the look has failed, or everything it found; the next call then looks again at once.
   */
  async runIfDue(): Promise<void> {
    if (this.hasStopped || performance.now() < this.nextAt) return
    let recovered = 0
    const failed: { row: Row; error: unknown }[] = []
    let startAfter: Page["next"]
    do {
      const { rows, next } = await this.events.stuck({ limit: this.options.batchSize, startAfter })
      await forEachBounded(rows, RECOVERIES_AT_ONCE, async (row) => {
        try {
          await this.recoverUnlessStopping(row)
          this.troubled.succeeded(row.id)
          recovered++
        } catch (error) {
          failed.push({ row, error })
        }
      })
      startAfter = next
    } while (startAfter && this.stopsAt === undefined)
    this.diagnostics.tell?.({ what: "recovery-looked", found: recovered + failed.length, recovered })
    // Where none succeeds, the database is to blame, unless it is a single row that has failed before, or the rows are no events.
    const isForTheRows =
      recovered > 0 ||
      failed.every(({ error }) => error instanceof ValidationError) ||
      (failed.length === 1 && failed.every(({ row }) => this.troubled.has(row.id)))
    for (const { row } of failed) this.troubled.failed(row.id)
    if (failed[0] && !isForTheRows) throw failed[0].error
    for (const { row, error } of failed) {
      this.troubled.reportOnce(row.id, () => this.events.recoveryFailed(row, error))
    }
    this.nextAt = performance.now() + this.options.intervalMs
  }

  private async recoverUnlessStopping(row: Row): Promise<void> {
    // A renewal has failed, but the handler is in time: recovering the event would deliver it twice.
    if (!this.hasStopped && !this.isHeldHere(row.id)) await this.events.recover(row)
  }
}
