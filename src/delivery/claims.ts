/**
 * From a due row to a claimed event: which rows are claimed ahead of the handlers, how far, and what the outcome of each
 * claim teaches. Whether anything may be claimed at all, the relay knows.
 */
import type { Diagnostics } from "../process/diagnostics.ts"
import type { Row } from "../state/status-index.ts"
import { mustNotWait, suspicionOf } from "./admission.ts"
import { ClaimQueue, Queued } from "./claim-queue.ts"
import { ClaimWindow } from "./claim-window.ts"
import type { Claim, ClaimOutcome, EventOperations } from "./event-operations.ts"
import { FailedClaims } from "./failed-claims.ts"
import type { LeasedEvent, LeaseKeeper } from "./lease-keeper.ts"
import type { Poll } from "./poll.ts"
import type { RowSource } from "./row-source.ts"
import type { Running } from "./running.ts"

/** Released events that keep their place in the queue. Behind more than these, nothing is claimed. */
const MAX_WAITING = 1000

export class Claims {
  readonly queue = new ClaimQueue()
  private readonly window: ClaimWindow
  private readonly failed: FailedClaims
  private poll: Poll | undefined
  /** The last event that was claimed must not wait, so the next is claimed only when it can start. */
  private isJustInTime = false

  /** @param onChange - Called when a look, a claim or a read has ended. */
  constructor(
    private readonly life: EventOperations,
    private readonly running: Running,
    private readonly leases: LeaseKeeper,
    private readonly options: { batchSize: number; concurrency: number },
    private readonly onChange: () => void,
    private readonly diagnostics: Diagnostics,
    readonly due: RowSource,
  ) {
    this.window = new ClaimWindow(options.batchSize, options.concurrency)
    this.failed = new FailedClaims((row, error) => life.claimFailed(row, error))
  }

  begin(poll: Poll): void {
    this.poll = poll
    this.due.begin()
    this.window.begin()
    this.isJustInTime = false
  }

  end(poll: Poll): void {
    this.poll = undefined
    this.failed.end(poll)
    this.due.end()
  }

  /**
   * Claims what is due, as far ahead as is useful, and reads what comes next.
   *
   * @param most - How many events may wait for their handlers at once.
   */
  goAhead(most: number): void {
    const mayWait = this.queue.waiting < MAX_WAITING
    for (let left = Math.min(this.room, most) - this.queue.ahead; left > 0 && mayWait; left--) {
      const row = this.due.take()
      if (!row) break
      // It was released, and keeps its place.
      if (this.queue.has(row.id)) continue
      const entry = new Queued(row)
      this.queue.push(entry)
      this.claim(entry)
    }
    // Rows that may not be claimed yet would be old when they may; a look for news is worth a request only when there is room.
    const hasRoom = this.queue.ahead === 0 && this.running.free > 0
    if (this.room > 0 && this.due.wantsPage(this.window.size, hasRoom)) void this.read()
  }

  /** Claims an event of the queue; looks at it first where it may be a suspect that must not be claimed now. */
  claim(entry: Queued): void {
    // Whatever it was when it was released, another worker may have crashed with it since.
    if (!entry.isStrongSuspect) entry.marks = undefined
    const mustLook = !entry.marks && (this.running.hasStrongSuspect || this.queue.hasStrongSuspect)
    void (mustLook ? this.lookAndClaim(entry) : this.sendClaim(entry))
  }

  /** An event that waited claimed for `waitedMs` starts now. */
  started(waitedMs: number): void {
    this.window.eventWaited(waitedMs)
  }

  /** One that waited claimed is released. More such events may follow; each that is claimed ahead would be released, too. */
  released(): void {
    this.window.narrow()
  }

  private get room(): number {
    return this.isJustInTime ? this.running.free : this.window.size
  }

  private async read(): Promise<void> {
    try {
      await this.due.readMore()
    } catch (error) {
      this.poll?.fail(error)
    }
    this.onChange()
  }

  private async lookAndClaim(entry: Queued): Promise<void> {
    entry.standing = { is: "looking" }
    try {
      entry.marks = await this.life.look(entry.row)
    } catch (error) {
      this.onFailed(entry, error)
      return
    }
    this.onSucceeded(entry)
    const suspicion = entry.marks ? suspicionOf(entry.marks) : "gone"
    this.diagnostics.tell?.({ what: "looked", eventId: entry.row.id, suspicion })
    if (entry.marks && !entry.isStrongSuspect) return this.sendClaim(entry)
    entry.standing = { is: entry.marks ? "released" : "dropped" }
    this.onChange()
  }

  private async sendClaim(entry: Queued): Promise<void> {
    entry.standing = { is: "claiming" }
    let outcome: ClaimOutcome
    try {
      outcome = await this.life.claim(entry.row)
    } catch (error) {
      this.onFailed(entry, error)
      return
    }
    if (outcome.kind !== "impossible") this.onSucceeded(entry)
    if (outcome.kind === "won") this.onWon(entry, outcome.claim)
    else this.onNotWon(entry, outcome)
    this.onChange()
  }

  private onSucceeded({ row }: Queued): void {
    if (this.poll) this.poll.hasSucceeded = true
    this.failed.succeeded(row)
  }

  private onFailed(entry: Queued, error: unknown): void {
    entry.standing = { is: "dropped" }
    this.leaveAlone(entry.row, this.failed.add(entry.row, error), error)
    this.window.narrow()
    if (this.poll?.hasSucceeded) this.failed.blameRows()
    else if (this.failed.count >= this.options.batchSize) this.poll?.fail(error)
    this.onChange()
  }

  private onWon(entry: Queued, claim: Claim): void {
    entry.marks = claim
    this.diagnostics.tell?.({ what: "claimed", eventId: claim.lease.id })
    const held: LeasedEvent = { lease: claim.lease, suspicion: suspicionOf(claim) }
    entry.standing = { is: "claimed", claim, held, wonAt: performance.now() }
    this.leases.add(held)
    this.due.won()
    this.isJustInTime = mustNotWait(claim)
    // A handler could have started already: claim further ahead.
    if (this.running.free > 0 && !this.isJustInTime) this.window.handlerWaited()
  }

  private onNotWon(entry: Queued, outcome: Exclude<ClaimOutcome, { kind: "won" }>): void {
    const { row } = entry
    entry.standing = { is: "dropped" }
    if (outcome.kind === "impossible") {
      this.leaveAlone(row, this.failed.blame(row, outcome.error), outcome.error)
    } else if (outcome.kind === "unreadable") {
      this.diagnostics.tell?.({ what: "not-claimed", eventId: row.id })
    } else {
      this.diagnostics.tell?.({ what: "lost", eventId: row.id })
      this.due.lost(row)
      this.window.claimLost()
    }
  }

  private leaveAlone(row: Row, forMs: number, error: unknown): void {
    this.due.leaveAlone(row, forMs)
    this.diagnostics.tell?.({ what: "not-claimed", eventId: row.id, forMs, error })
  }
}
