/**
 * The relay: takes due events, claims a little ahead, runs handlers in order, settles beside the next ones. Owns
 * order, concurrency, what is bounded, and stopping. Which events may start and which may wait claimed, `admission.ts`
 * says; {@link EventLife} does the writes, so nothing here knows of DynamoDB.
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
import { AdmissionRound, mustNotWait, suspicionOf } from "./admission.ts"
import { type Claimed, ClaimQueue, Queued } from "./claim-queue.ts"
import { ClaimWindow } from "./claim-window.ts"
import { DueRows } from "./due-rows.ts"
import type { Claim, ClaimOutcome, EventLife } from "./event-life.ts"
import { HandlerContexts } from "./handler-context.ts"
import { type HeldEvent, LeaseKeeper } from "./lease-keeper.ts"
import { LoopWatch } from "./loop-watch.ts"
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
/** Released events that keep their place in the queue. Behind more than these, nothing is claimed. */
const MAX_WAITING = 1000

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
  /** Strong suspects among those. */
  private settlingSuspects = 0
  private readonly maxSettling: number
  private readonly loop = new LoopWatch(() => this.advance())
  private mustSettleFirst = false
  private hasReportedShortLease = false
  /** The last event that was claimed must not wait, so the next is claimed only when it can start. */
  private isJustInTime = false
  private readonly window: ClaimWindow
  private readonly troubled = new TroubledRows()
  /** Claims that failed while nothing in this poll has succeeded: whether row or database is to blame is not known yet. */
  private failedClaims: { row: Row; error: unknown; isKnown: boolean }[] = []

  constructor(
    private readonly life: EventLife,
    private readonly options: RelayOptions,
    /** Asks for another poll: what waited in the queue can go on. */
    private readonly requestPoll: () => void = () => {},
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
    this.isJustInTime = false
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
    this.admit()
    this.claimAhead()
    this.readAhead()
    this.endPoll()
    this.resolveIdle()
    if (this.running.size === 0 && this.settling === 0) this.loop.stop()
  }

  private admit(): void {
    const round = new AdmissionRound({
      concurrency: this.options.concurrency,
      free: this.running.free,
      suspects: this.running.suspects,
      hasStrongSuspect: this.hasStrongSuspect,
      isStuck: this.running.isStuck,
      isUncertain: this.queue.isUncertain,
      canClaim: this.poll !== undefined && !this.poll.hasFailed,
    })
    for (const entry of [...this.queue]) {
      if (this.leaves(entry)) continue
      const verdict = round.next(entry)
      const { standing } = entry
      if (verdict === "claim") this.claimOrLook(entry)
      if (standing.is !== "claimed") continue
      if (verdict === "release") void this.release(entry, standing)
      if (verdict !== "start") continue
      if (this.leases.isTooShort(standing.held)) this.endPollUnhandled(entry, standing)
      else if (this.mayStart && this.leases.isSafeToStart(standing.held)) void this.run(entry, standing)
      else round.block()
    }
  }

  /** Leases are shorter than round trips take: the event is released, and perhaps the next poll finds DynamoDB faster. */
  private endPollUnhandled(entry: Queued, claimed: Claimed): void {
    this.queue.remove(entry)
    void this.release(entry, claimed)
    if (this.poll) this.poll.isGivenUp = true
    if (!this.hasReportedShortLease) this.life.interrupted(this.leases.tooShortError())
    this.hasReportedShortLease = true
  }

  /**
   * A handler that has blocked the process has kept results from being sent. They are settled before another one starts: it
   * may block, too, until the leases of what is only waiting for that have expired.
   */
  private get mayStart(): boolean {
    if (this.loop.isBlocked) {
      this.mustSettleFirst = true
      this.leases.markStale()
    } else if (this.settling === 0) {
      this.mustSettleFirst = false
    }
    return !this.mustSettleFirst
  }

  /** One runs within its timeout, or is being settled: until then, a crash would count against it. */
  private get hasStrongSuspect(): boolean {
    return this.running.hasStrongSuspect || this.settlingSuspects > 0
  }

  /** Takes an event out of the queue that is not to start here, whatever else runs. */
  private leaves(entry: Queued): boolean {
    const { standing } = entry
    const isLost = standing.is === "claimed" && standing.held.isLost
    const isTooLate = this.roomToStart === 0 && (standing.is === "claimed" || standing.is === "released")
    if (standing.is !== "dropped" && !isLost && !isTooLate) return false
    this.queue.remove(entry)
    if (standing.is !== "claimed") return true
    if (isLost) this.leases.remove(standing.held)
    else void this.release(entry, standing)
    return true
  }

  /** How many handlers a stop still lets start. */
  private get roomToStart(): number {
    if (this.isStopping) return 0
    return this.lastPage ? this.lastPage.room : Number.POSITIVE_INFINITY
  }

  private claimAhead(): void {
    while (
      this.mayClaim() &&
      this.queue.ahead < Math.min(this.room, this.roomToStart) &&
      this.queue.waiting < MAX_WAITING &&
      this.settling < this.maxSettling &&
      this.due.available > 0
    ) {
      const row = this.due.take() as Row
      // It was released, and keeps its place.
      if (this.queue.has(row.id)) continue
      const entry = new Queued(row)
      this.queue.push(entry)
      this.claimOrLook(entry)
    }
  }

  private claimOrLook(entry: Queued): void {
    // Whatever it was when it was released, another worker may have crashed with it since.
    if (!entry.isStrongSuspect) entry.marks = undefined
    const mustLook = !entry.marks && (this.hasStrongSuspect || this.queue.hasStrongSuspect)
    void (mustLook ? this.look(entry) : this.claim(entry))
  }

  private get room(): number {
    return this.isJustInTime ? this.running.free : this.window.size
  }

  private readAhead(): void {
    if (!this.mayClaim() || this.due.isReading || this.due.isExhausted) return
    // Rows that may not be claimed yet would be old when they may.
    if (this.room === 0) return
    if (this.due.available >= (this.due.isShared ? 1 : this.window.size)) return
    // The start of the index would show once more what is available already.
    if (this.due.startsOver && this.due.available > 0) return
    // A look for news is worth a request only when there is room for them.
    if (this.due.startsOver && (this.queue.ahead > 0 || this.running.free === 0)) return
    void this.read()
  }

  private mayClaim(): boolean {
    return this.poll !== undefined && !this.mustEnd(this.poll) && !this.running.isStuck
  }

  private mustEnd(poll: Poll): boolean {
    // A last page is not continued by another poll.
    return this.roomToStart === 0 || (this.lastPage ? poll.hasFailed : poll.isOver)
  }

  private endPoll(): void {
    const { poll } = this
    if (!poll || this.queue.ahead > 0 || this.settling > 0 || this.due.isReading) return
    if (this.running.free === 0) return
    if (!this.due.isExhausted && !this.mustEnd(poll)) return
    const outcome = this.outcome(poll)
    this.poll = undefined
    if (this.failedClaims[0] && this.isForTheDatabase) poll.fail(this.failedClaims[0].error)
    if (poll.hasFailed) this.failedClaims = []
    else this.reportFailedClaims()
    this.due.end()
    poll.end(outcome, (error) => this.life.interrupted(error))
  }

  private outcome(poll: Poll): PollOutcome {
    if (this.isStopping || this.lastPage || poll.isGivenUp) return "done"
    if (!this.due.isExhausted) return "unfinished"
    return this.due.mayHaveLeft ? "unsure" : "done"
  }

  private resolveIdle(): void {
    if (this.poll || this.queue.ahead > 0 || this.running.size > 0 || this.settling > 0) return
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

  /** Reads what an event is before it is claimed. */
  private async look(entry: Queued): Promise<void> {
    entry.standing = { is: "looking" }
    try {
      entry.marks = await this.life.look(entry.row)
    } catch (error) {
      this.onClaimFailed(entry, error)
      this.advance()
      return
    }
    this.onSuccess(entry)
    if (!entry.marks) entry.standing = { is: "dropped" }
    else if (entry.isStrongSuspect) entry.standing = { is: "released" }
    else return this.claim(entry)
    this.advance()
  }

  private async claim(entry: Queued): Promise<void> {
    entry.standing = { is: "claiming" }
    let outcome: ClaimOutcome
    try {
      outcome = await this.life.claim(entry.row)
    } catch (error) {
      this.onClaimFailed(entry, error)
      this.advance()
      return
    }
    this.onSuccess(entry)
    if (outcome.kind === "won") {
      this.onWon(entry, outcome.claim)
    } else {
      entry.standing = { is: "dropped" }
      if (outcome.kind === "lost") this.onLost(entry)
    }
    this.advance()
  }

  /** One row that can't be claimed stops nobody; a whole page of them ends the poll. */
  private onClaimFailed(entry: Queued, error: unknown): void {
    const { row } = entry
    entry.standing = { is: "dropped" }
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

  private onWon(entry: Queued, claim: Claim): void {
    entry.marks = claim
    const held: HeldEvent = { hold: claim.hold, suspicion: suspicionOf(claim) }
    entry.standing = { is: "claimed", claim, held, wonAt: performance.now() }
    this.leases.add(held)
    this.due.won()
    this.isJustInTime = mustNotWait(claim)
    // A handler could have started already: claim further ahead.
    if (this.running.free > 0 && !this.isJustInTime) this.window.handlerWaited()
  }

  private onLost(entry: Queued): void {
    this.due.lost(entry.row)
    this.window.claimLost()
  }

  private async run(entry: Queued, { claim, held, wonAt }: Claimed): Promise<void> {
    this.queue.remove(entry)
    this.window.eventWaited(performance.now() - wonAt)
    this.hasStarted = true
    this.lastPage?.started()
    this.running.add(held)
    this.loop.start()
    let failure: { error: unknown } | undefined
    try {
      await this.contexts.run(claim, held, this.handler)
    } catch (error) {
      failure = { error }
    }
    this.running.delete(held)
    this.settling++
    if (held.suspicion === "strong") this.settlingSuspects++
    // A success is valid with any lease.
    if (failure) this.leases.freeze(held)
    const settled = failure ? this.life.fail(claim, failure.error) : this.life.complete(claim)
    this.advance()
    await settled.catch((error) => this.poll?.fail(error))
    if (held.suspicion === "strong") this.settlingSuspects--
    this.settled(held)
  }

  /** Gives back an event that waits claimed. */
  private async release(entry: Queued, { claim, held }: Claimed): Promise<void> {
    entry.standing = { is: "releasing" }
    this.settling++
    // More such events may follow; each that is claimed ahead would have to be released.
    this.window.narrow()
    this.leases.freeze(held)
    await this.life.release(claim).catch((error) => this.poll?.fail(error))
    entry.standing = { is: "released" }
    this.settled(held)
  }

  private settled(held: HeldEvent): void {
    this.settling--
    this.leases.remove(held)
    this.advance()
    // Only one of them may run at a time; the poll that met the next ones need not be under way any more.
    if (held.suspicion === "strong" && !this.poll && this.queue.waiting > 0) this.requestPoll()
  }
}
