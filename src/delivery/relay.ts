/**
 * The relay: takes due events, claims a little ahead, runs handlers in order, settles beside the next ones. Owns
 * order, concurrency, what is bounded, and stopping. Which events may start and which may wait claimed, `admission.ts`
 * says; {@link EventOperations} does the writes, so nothing here knows of DynamoDB.
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
import { Diagnostics } from "../process/diagnostics.ts"
import { AdmissionRound } from "./admission.ts"
import type { Claimed, Queued } from "./claim-queue.ts"
import { Claims } from "./claims.ts"
import { DueRows } from "./due-rows.ts"
import type { EventOperations } from "./event-operations.ts"
import { HandlerContexts } from "./handler-context.ts"
import { type LeasedEvent, LeaseKeeper } from "./lease-keeper.ts"
import { LoopWatch } from "./loop-watch.ts"
import { Poll, type PollOutcome } from "./poll.ts"
import type { RowSource } from "./row-source.ts"
import { Running } from "./running.ts"
import type { StartLimit } from "./start-limit.ts"

export interface RelayOptions {
  concurrency: number
  batchSize: number
  maxRetries: number
  processingTimeoutMs: number
}

/** Writes under way that settle events: so many as handlers may end at once, within what a connection pool has room for. */
const MAX_SETTLING = { least: 32, most: 64 }

export class Relay {
  /** A handler has been started. */
  hasStarted = false

  private handler: (event: BusEvent) => Promise<void> = async () => {}
  private poll: Poll | undefined
  private isStopping = false
  private limit: StartLimit | undefined
  private readonly onIdle: Array<() => void> = []
  private settling = 0
  private readonly maxSettling: number
  private hasReportedShortLease = false

  private readonly claims: Claims
  private readonly running: Running
  private readonly leases: LeaseKeeper
  private readonly contexts: HandlerContexts
  private readonly loop: LoopWatch

  /**
   * @param requestPoll - Asks for another poll: what waited in the queue can go on.
   * @param given - The rows to claim; default: those that the index shows.
   */
  constructor(
    private readonly life: EventOperations,
    private readonly options: RelayOptions,
    private readonly requestPoll: () => void = () => {},
    private readonly diagnostics = new Diagnostics("outbox"),
    given?: RowSource,
  ) {
    const rows =
      given ??
      new DueRows(
        (request) => life.due(request),
        options.batchSize,
        (rows, news) => diagnostics.tell?.({ what: "page-read", rows, news }),
      )
    const advance = () => this.advance()
    this.maxSettling = Math.max(MAX_SETTLING.least, Math.min(options.concurrency, MAX_SETTLING.most))
    this.leases = new LeaseKeeper(
      (...renewal) => life.renew(...renewal),
      options.processingTimeoutMs,
      advance,
    )
    this.running = new Running(options.concurrency, (event) => this.leases.isOverdue(event))
    this.claims = new Claims(life, this.running, this.leases, options, advance, diagnostics, rows)
    this.contexts = new HandlerContexts(options)
    this.loop = new LoopWatch((ms) => this.leases.wasBlocked(ms), advance)
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
    this.claims.begin(poll)
    this.diagnostics.tell?.({ what: "poll-started" })
    this.advance()
    return poll.ended
  }

  /** From now on, starts and claims no more than `limit` allows. */
  limitTo(limit: StartLimit): void {
    this.limit = limit
  }

  /** The room that the limit leaves has changed. */
  limitChanged(): void {
    this.advance()
  }

  /**
   * From now on, tells the handlers that a stop is near.
   *
   * @param inMs - When to tell them to end; default: while a stop still has time for them to do so.
   */
  announceStop(inMs?: number): void {
    this.contexts.stop(inMs)
  }

  /** For good: starts no more handlers, releases what is only claimed, and resolves when the running ones are settled. */
  async stop(): Promise<void> {
    this.isStopping = true
    this.contexts.stop()
    await this.idle()
  }

  /** Resolves when nothing is claimed, running, or being settled. */
  async idle(): Promise<void> {
    const idle = new Promise<void>((resolve) => this.onIdle.push(resolve))
    this.advance()
    await idle
  }

  /** Handlers that run. */
  get runningCount(): number {
    return this.running.size
  }

  /** Something runs, is being settled, or waits to be claimed again. */
  get isBusy(): boolean {
    return (
      this.claims.queue.ahead > 0 ||
      this.claims.queue.waiting > 0 ||
      this.running.size > 0 ||
      this.settling > 0
    )
  }

  /** Whether this worker holds the event, waiting or running within its time. */
  holds(id: string): boolean {
    return this.leases.holds(id)
  }

  /** Whether the caller is one of this relay's handlers. */
  get isCalledByHandler(): boolean {
    return this.contexts.isCaller
  }

  private advance(): void {
    this.admit()
    if (this.mayClaim) this.claims.goAhead(this.roomToStart)
    this.endPoll()
    this.resolveIdle()
    if (this.running.size === 0 && this.settling === 0) this.loop.stop()
  }

  private admit(): void {
    const { queue } = this.claims
    const round = new AdmissionRound({
      concurrency: this.options.concurrency,
      free: this.running.free,
      suspects: this.running.suspects,
      hasStrongSuspect: this.running.hasStrongSuspect,
      isStuck: this.running.isStuck,
      isUncertain: queue.isUncertain,
      canClaim: this.poll !== undefined && !this.poll.hasFailed,
    })
    for (const entry of [...queue]) {
      if (this.leaves(entry)) continue
      const verdict = round.next(entry)
      const { standing } = entry
      if (verdict === "claim") this.claims.claim(entry)
      if (verdict === "wait" && standing.is !== "dropped") this.tellWaiting(entry, round.why)
      if (standing.is !== "claimed") continue
      if (verdict === "release") void this.release(entry, standing, round.why)
      if (verdict === "start" && !this.start(entry, standing)) {
        round.block("its lease, or what a blocked event loop has held up, is written first")
        this.tellWaiting(entry, round.why)
      }
    }
  }

  private tellWaiting(entry: Queued, because: string): void {
    if (!this.diagnostics.tell || entry.claim === "pending" || entry.waitsBecause === because) return
    entry.waitsBecause = because
    this.diagnostics.tell({ what: "waits", eventId: entry.row.id, because })
  }

  /** Takes an event out of the queue that is not to start here, whatever else runs. */
  private leaves(entry: Queued): boolean {
    const { standing } = entry
    const isLost = standing.is === "claimed" && standing.held.isLost
    const isTooLate = this.roomToStart === 0 && (standing.is === "claimed" || standing.is === "released")
    if (standing.is !== "dropped" && !isLost && !isTooLate) return false
    this.claims.queue.remove(entry)
    if (standing.is !== "claimed") return true
    if (isLost) this.dropLost(standing)
    else void this.release(entry, standing, "the outbox stops")
    return true
  }

  private dropLost({ held }: Claimed): void {
    this.leases.remove(held)
    this.diagnostics.tell?.({ what: "lease-lost", eventId: held.lease.id })
  }

  /** How many handlers a stop or another limit still lets start. */
  private get roomToStart(): number {
    if (this.isStopping) return 0
    return this.limit ? this.limit.room : Number.POSITIVE_INFINITY
  }

  private get mayClaim(): boolean {
    const mayGoOn = this.poll !== undefined && !this.mustEnd(this.poll)
    return mayGoOn && !this.running.isStuck && this.settling < this.maxSettling
  }

  private mustEnd(poll: Poll): boolean {
    if (this.roomToStart === 0) return true
    return this.limit?.isLastPoll ? poll.hasFailed || poll.isGivenUp : poll.isOver
  }

  private endPoll(): void {
    const { poll } = this
    const { queue, due } = this.claims
    if (!poll || queue.ahead > 0 || this.settling > 0 || due.isReading) return
    if (this.running.free === 0) return
    if (!due.isExhausted && !this.mustEnd(poll)) return
    const outcome = this.outcome(poll)
    this.poll = undefined
    this.claims.end(poll)
    this.diagnostics.tell?.({ what: "poll-ended", outcome: poll.hasFailed ? "failed" : outcome })
    poll.end(outcome, (error) => this.life.interrupted(error))
  }

  private outcome(poll: Poll): PollOutcome {
    const { due } = this.claims
    if (this.isStopping || this.limit?.isLastPoll || poll.isGivenUp) return "done"
    if (!due.isExhausted) return "unfinished"
    return due.mayHaveMissed ? "unsure" : "done"
  }

  private resolveIdle(): void {
    if (this.poll || this.claims.queue.ahead > 0 || this.running.size > 0 || this.settling > 0) return
    for (const resolve of this.onIdle.splice(0)) resolve()
  }

  /** @returns false where the handler must not start yet. */
  private start(entry: Queued, claimed: Claimed): boolean {
    if (this.leases.isTooShort(claimed.held)) {
      this.endPollUnhandled(entry, claimed)
      return false
    }
    if (!this.loop.mayStart(this.settling === 0) || !this.leases.isSafeToStart(claimed.held)) return false
    this.claims.queue.remove(entry)
    this.claims.started(performance.now() - claimed.wonAt)
    void this.run(claimed)
    return true
  }

  /** Leases are shorter than round trips take: the event is released, and perhaps the next poll finds DynamoDB faster. */
  private endPollUnhandled(entry: Queued, claimed: Claimed): void {
    this.claims.queue.remove(entry)
    void this.release(entry, claimed, "leases are shorter than round trips")
    if (this.poll) this.poll.isGivenUp = true
    if (!this.hasReportedShortLease) this.life.interrupted(this.leases.tooShortError())
    this.hasReportedShortLease = true
  }

  private async run({ claim, held }: Claimed): Promise<void> {
    this.hasStarted = true
    this.limit?.started()
    this.running.add(held)
    this.loop.start()
    const { id: eventId, type: eventType } = claim.event
    this.diagnostics.tell?.({ what: "handler-started", eventId, eventType, attempt: claim.retryCount + 1 })
    let failure: { error: unknown } | undefined
    try {
      await this.contexts.run(claim, held, this.handler)
    } catch (error) {
      failure = { error }
    }
    this.running.ended(held)
    const ms = performance.now() - (held.startedAt as number)
    this.diagnostics.tell?.({ what: "handler-ended", eventId, ms, hasSucceeded: !failure })
    this.settling++
    // A success is valid with any lease.
    if (failure) this.leases.freeze(held)
    const settled = failure ? this.life.fail(claim, failure.error) : this.life.complete(claim)
    this.advance()
    await settled.catch((error) => this.poll?.fail(error))
    this.running.settled(held)
    this.diagnostics.tell?.({ what: "settled", eventId })
    this.settled(held)
  }

  /** Releases an event that waits claimed. */
  private async release(entry: Queued, { claim, held }: Claimed, because: string): Promise<void> {
    this.diagnostics.tell?.({ what: "released", eventId: held.lease.id, because })
    entry.standing = { is: "releasing" }
    this.settling++
    this.claims.released()
    this.leases.freeze(held)
    await this.life.release(claim).catch((error) => this.poll?.fail(error))
    entry.standing = { is: "released" }
    this.settled(held)
  }

  private settled(held: LeasedEvent): void {
    this.settling--
    this.leases.remove(held)
    this.advance()
    // Only one of them may run at a time; the poll that met the next ones need not be under way any more.
    if (held.suspicion === "strong" && !this.poll && this.claims.queue.waiting > 0) this.requestPoll()
  }
}
