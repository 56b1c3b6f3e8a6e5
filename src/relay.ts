/**
 * The relay: takes due events, claims a little ahead, runs handlers in order, settles beside the next ones. Owns
 * order, concurrency, what is bounded, and stopping. It knows nothing of DynamoDB: {@link EventLife} does the writes.
 *
 * Everything happens in {@link Relay.advance}, which is called after each thing that has ended and starts whatever
 * may start then. An event passes through these places, first in, first out:
 *
 * ```text
 *  DueRows ──claim──▶ queue (claimed, or being claimed) ──start──▶ running ──settle──▶ settling ──▶ done
 *                     at most `window`                    at most `concurrency`  at most `maxSettling`
 * ```
 */
import type { BusEvent } from "outbox-event-bus"
import { ClaimQueue, claimOf, type Pace, type Queued } from "./claim-queue.ts"
import { ClaimWindow } from "./claim-window.ts"
import { DueRows, type TakenRow } from "./due-rows.ts"
import type { Claim, EventLife } from "./event-life.ts"
import { HandlerContexts } from "./handler-context.ts"
import { type HeldEvent, LeaseKeeper } from "./lease-keeper.ts"
import { type LastPage, Poll, type PollOutcome } from "./poll.ts"
import { Running } from "./running.ts"
import type { Row } from "./status-index.ts"
import { TroubledRows } from "./troubled-rows.ts"

export interface RelayOptions {
  concurrency: number
  batchSize: number
  maxRetries: number
  processingTimeoutMs: number
}

/** Writes under way that settle events: so many as handlers may end at once, within what a connection pool has room for. */
const MAX_SETTLING = { least: 32, most: 64 }

export class Relay {
  private handler: (event: BusEvent) => Promise<void> = async () => {}
  private poll: Poll | undefined
  private isStopping = false
  private lastPage: LastPage | undefined
  /** A handler has been started. */
  hasStarted = false
  private readonly onIdle: Array<() => void> = []

  private readonly due: DueRows
  private readonly leases: LeaseKeeper
  private readonly queue = new ClaimQueue()
  private readonly running: Running
  private readonly contexts: HandlerContexts
  private settling = 0
  private readonly maxSettling: number
  /** Releases under way: until they are written, the index does not show what comes next in order. */
  private releasing = 0
  private pace: Pace = "ahead"
  private readonly window: ClaimWindow
  private lastStretch = 0
  private readonly troubled = new TroubledRows()
  /** Claims that failed while nothing in this poll has succeeded: whether row or database is to blame is not known yet. */
  private failedClaims: { row: Row; error: unknown; isKnown: boolean }[] = []

  constructor(
    private readonly life: EventLife,
    private readonly options: RelayOptions,
  ) {
    this.maxSettling = Math.max(MAX_SETTLING.least, Math.min(options.concurrency, MAX_SETTLING.most))
    this.window = new ClaimWindow(options.batchSize, options.concurrency)
    this.due = new DueRows((request) => life.due(request), options.batchSize)
    this.leases = new LeaseKeeper(
      (hold, leaseEndsAt) => life.renew(hold, leaseEndsAt),
      options.processingTimeoutMs,
      () => this.advance(),
    )
    this.contexts = new HandlerContexts(options)
    this.running = new Running(options.concurrency, (event) => this.leases.isOverdue(event))
  }

  /**
   * Hands over all that is due. Resolves when nothing more is due and a handler could be started: with concurrency
   * 1, when all is settled.
   *
   * @param handler - Runs for each event.
   * @param until - When to claim nothing more in this poll, on the clock of `performance`.
   * @throws what a read or the first claim was rejected with, if nothing in this poll has succeeded.
   */
  async handleDue(handler: (event: BusEvent) => Promise<void>, until: number): Promise<PollOutcome> {
    this.handler = handler
    if (this.poll) return this.poll.ended
    const poll = new Poll(until)
    this.poll = poll
    this.due.begin()
    this.window.begin()
    // Another worker may have delivered the event that asked for caution.
    this.pace = "ahead"
    this.advance()
    return poll.ended
  }

  /** From now on, starts and claims no more than `page` allows. To be followed by {@link stop}. */
  endWith(page: LastPage): void {
    this.lastPage = page
    this.contexts.stop()
  }

  /** For good: starts no more handlers, gives back what is only claimed, and resolves when the running ones are settled. */
  async stop(): Promise<void> {
    this.isStopping = true
    this.contexts.stop()
    const idle = new Promise<void>((resolve) => this.onIdle.push(resolve))
    this.advance()
    await idle
  }

  /** Whether this worker holds the event, waiting or running within its time. */
  holds(id: string): boolean {
    return this.leases.holds(id)
  }

  private advance(): void {
    this.startHandlers()
    this.releaseEndangered()
    this.claimAhead()
    this.readAhead()
    this.endPoll()
    this.resolveIdle()
  }

  private startHandlers(): void {
    for (let head = this.queue.head; head?.outcome; head = this.queue.head) {
      const claim = claimOf(head)
      const { held } = head
      if (!claim || !held || held.isLost || this.roomToStart === 0 || head.isUnwanted) {
        this.queue.shift()
        this.giveBack(head)
      } else if (this.running.free === 0) {
        return
      } else if (claim.wasRecovered && !(this.isQuiet && this.queue.length === 1)) {
        return
      } else if (!this.leases.isSafeToStart(held)) {
        return
      } else {
        this.queue.shift()
        this.window.eventWaited(performance.now() - (head.wonAt as number))
        void this.run(claim, held)
      }
    }
  }

  /** How many handlers a stop still lets start. */
  private get roomToStart(): number {
    if (this.isStopping) return 0
    return this.lastPage ? this.lastPage.room : Number.POSITIVE_INFINITY
  }

  /** Nothing runs or is being settled that an event which was recovered before could take down with it. */
  private get isQuiet(): boolean {
    return !this.running.isBusy && this.settling === 0
  }

  /**
   * What must not wait claimed, since it would count as an attempt if the process died meanwhile, is given back and
   * claimed again when it can run: what is behind an event that was recovered before, and may take the process down; that event
   * itself while handlers run that may be the cause; one at its last attempt, which would be a dead letter without having
   * been tried. Behind handlers that may never end, no event must wait: other workers can have them.
   */
  private releaseEndangered(): void {
    if (this.running.isStuck) this.releaseFrom(0)
    const recovered = this.queue.firstWhere(({ wasRecovered }) => wasRecovered)
    this.releaseFrom(this.running.isBusy ? recovered : recovered + 1)
    const last = this.queue.firstWhere(({ isLastAttempt }) => isLastAttempt)
    if (last >= this.running.free) this.releaseFrom(last)
  }

  /** Gives back the event at `position` in the queue and, to keep the order, all behind it. */
  private releaseFrom(position: number): void {
    for (const entry of this.queue.cut(position)) this.giveBack(entry)
  }

  private giveBack(entry: Queued): void {
    const claim = claimOf(entry)
    if (!claim || !entry.held) return
    if (entry.held.isLost) this.leases.remove(entry.held)
    else void this.release(entry, claim, entry.held)
  }

  private claimAhead(): void {
    while (
      this.mayClaim() &&
      this.queue.length < Math.min(this.room(), this.roomToStart) &&
      this.settling < this.maxSettling &&
      this.due.available > 0
    ) {
      const entry: Queued = { ...(this.due.take() as TakenRow), pace: this.pace }
      // Whether other workers are on a stretch of rows is found out with one claim.
      if (this.due.isShared && entry.stretch !== this.lastStretch) this.window.narrow()
      this.lastStretch = entry.stretch
      this.queue.push(entry)
      void this.claim(entry)
    }
  }

  private room(): number {
    if (this.pace === "ahead") return this.window.size
    if (this.pace === "just in time") return this.running.free
    return this.isQuiet ? 1 : 0
  }

  private readAhead(): void {
    if (!this.mayClaim() || this.due.isReading || this.due.isExhausted) return
    // Rows that may not be claimed yet would be old when they may.
    if (this.room() === 0) return
    if (this.due.available >= (this.due.isShared ? 1 : this.window.size)) return
    // The start of the index would show once more what is available already.
    if (this.due.startsOver && this.due.available > 0) return
    // A look for news is worth a request only when there is room for them.
    if (this.due.startsOver && (this.queue.length > 0 || this.running.free === 0)) return
    void this.read()
  }

  private mayClaim(): boolean {
    if (!this.poll || this.mustEnd(this.poll) || this.releasing > 0) return false
    return !this.queue.isUndecided() && !this.running.isStuck && !this.running.isReserved
  }

  private mustEnd(poll: Poll): boolean {
    // A last page is not continued by another poll.
    return this.roomToStart === 0 || (this.lastPage ? poll.hasFailed : poll.isOver)
  }

  private endPoll(): void {
    const { poll } = this
    if (!poll || this.queue.length > 0 || this.settling > 0 || this.due.isReading) return
    if (this.running.free === 0) return
    if (!this.due.isExhausted && !this.mustEnd(poll)) return
    const outcome = this.outcome()
    this.poll = undefined
    if (this.failedClaims[0] && this.isForTheDatabase) poll.fail(this.failedClaims[0].error)
    if (poll.hasFailed) this.failedClaims = []
    else this.reportFailedClaims()
    this.due.end()
    poll.end(outcome, (error) => this.life.interrupted(error))
  }

  private outcome(): PollOutcome {
    if (this.isStopping || this.lastPage) return "done"
    if (!this.due.isExhausted) return "unfinished"
    return this.due.mayHaveLeft ? "unsure" : "done"
  }

  private resolveIdle(): void {
    if (this.poll || this.queue.length > 0 || this.running.size > 0 || this.settling > 0) return
    for (const resolve of this.onIdle.splice(0)) resolve()
  }

  private async read(): Promise<void> {
    try {
      await this.due.readMore()
    } catch (error) {
      this.poll?.fail(error)
    }
    this.advance()
  }

  private async claim(entry: Queued): Promise<void> {
    try {
      entry.outcome = await this.life.claim(entry.row)
    } catch (error) {
      entry.outcome = { kind: "unreadable" }
      this.onClaimFailed(entry, error)
      this.advance()
      return
    }
    this.onSuccess(entry)
    if (entry.outcome.kind === "won") this.onWon(entry, entry.outcome.claim)
    if (entry.outcome.kind === "lost") this.onLost(entry)
    this.advance()
  }

  /** One row that can't be claimed stops nobody; a whole page of them ends the poll. */
  private onClaimFailed({ row }: Queued, error: unknown): void {
    this.failedClaims.push({ row, error, isKnown: this.troubled.has(row.id) })
    this.due.setAside(row, this.troubled.failed(row.id))
    this.window.narrow()
    if (this.poll?.hasSucceeded) this.reportFailedClaims()
    else if (this.failedClaims.length >= this.options.batchSize) this.poll?.fail(error)
  }

  private onSuccess({ row }: Queued): void {
    this.troubled.succeeded(row.id)
    if (this.poll) this.poll.hasSucceeded = true
    this.reportFailedClaims()
  }

  /** Whether claims of which none succeeded tell of a database that is not there: all but a single row that has failed before. */
  private get isForTheDatabase(): boolean {
    return this.failedClaims.length > 1 || this.failedClaims.some(({ isKnown }) => !isKnown)
  }

  private reportFailedClaims(): void {
    for (const { row, error } of this.failedClaims.splice(0)) {
      this.troubled.reportOnce(row.id, () => this.life.claimFailed(row, error))
    }
  }

  private onWon(entry: Queued, { hold, isLastAttempt, wasRecovered }: Claim): void {
    if (wasRecovered) this.pace = "one by one"
    // One that was taken before the pace changed says nothing about what comes next.
    else if (entry.pace === this.pace) this.pace = isLastAttempt ? "just in time" : "ahead"
    entry.wonAt = performance.now()
    entry.held = { hold, wasRecovered }
    this.leases.add(entry.held)
    this.due.won()
    // A handler could have started already: claim further ahead.
    if (this.running.free > 0 && entry.pace === "ahead") this.window.handlerWaited()
  }

  private onLost(entry: Queued): void {
    this.due.lost(entry)
    this.window.claimLost()
  }

  private async run(claim: Claim, held: HeldEvent): Promise<void> {
    this.hasStarted = true
    this.lastPage?.started()
    this.running.add(held)
    let failure: { error: unknown } | undefined
    try {
      await this.contexts.run(claim, held, this.handler)
    } catch (error) {
      failure = { error }
    }
    this.running.delete(held)
    this.settling++
    // The condition of a failure names the lease, so it must not move meanwhile; a success is valid with any.
    if (failure) this.leases.remove(held)
    const settled = failure ? this.life.fail(claim, failure.error) : this.life.complete(claim)
    this.advance()
    await settled.catch((error) => this.poll?.fail(error))
    this.settled(held)
  }

  private async release(taken: TakenRow, claim: Claim, held: HeldEvent): Promise<void> {
    this.settling++
    this.releasing++
    // More such events may follow; what is claimed ahead of them would have to be given back.
    this.window.narrow()
    this.leases.remove(held)
    await this.life.release(claim).catch((error) => this.poll?.fail(error))
    this.releasing--
    this.due.released(taken)
    this.settled(held)
  }

  private settled(held: HeldEvent): void {
    this.settling--
    this.leases.remove(held)
    this.advance()
  }
}
