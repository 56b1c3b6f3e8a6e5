/**
 * The life of an event in the table: one method per step, from the claim to its end. What each write is, `transitions.ts` says; when
 * it is sent, `relay.ts`.
 */
import { randomUUID } from "node:crypto"
import type { DeleteCommandInput, UpdateCommandInput } from "@aws-sdk/lib-dynamodb"
import { type BusEvent, EventStatus } from "outbox-event-bus"
import type { ResolvedConfig } from "../config.ts"
import { isNamed } from "../database/dynamodb-errors.ts"
import type { RequestDeadline } from "../database/request-deadline.ts"
import type { Page, Requests, WriteOutcome } from "../database/requests.ts"
import {
  foreignItem,
  type Item,
  isEventItem,
  readActiveItem,
  readItem,
  toFailedEvent,
} from "../item/event-item.ts"
import type { TableDoctor } from "../operations/table-doctor.ts"
import { Diagnostics } from "../process/diagnostics.ts"
import type { Marks } from "../state/attempt.ts"
import {
  asksForRelease,
  failedAttempt,
  MIN_RELEASE_PAUSE_MS,
  marksOf,
  newLease,
  PROCESSING_TIMEOUT,
  retryDelay,
  settlementOf,
  unreadableAttempt,
} from "../state/attempt.ts"
import { type DuePageRequest, dueEvents, type Row, stuckEvents } from "../state/status-index.ts"
import type { FailedAttempt, Lease } from "../state/transitions.ts"
import * as transitions from "../state/transitions.ts"
import { AbandonedClaims } from "./abandoned-claims.ts"
import type { ErrorReporter } from "./error-reporter.ts"
import type { Claim, ClaimOutcome, EventOperations, Settlement, StuckEvents } from "./event-operations.ts"

export class EventSteps {
  private diagnostics: Diagnostics | undefined
  /** Claims of unknown outcome, which are being undone. */
  readonly abandoned: AbandonedClaims

  constructor(
    private readonly config: ResolvedConfig,
    private readonly requests: Requests,
    private readonly deadline: RequestDeadline,
    private readonly errors: ErrorReporter,
    private readonly doctor: TableDoctor,
  ) {
    this.abandoned = new AbandonedClaims(
      (lease, at) => this.requests.write(transitions.fence(this.config.tableName, lease, at)),
      config.processingTimeoutMs,
    )
  }

  /** The steps, for whoever puts them in order. */
  operations(): EventOperations & StuckEvents {
    return {
      due: (request) => this.due(request),
      stuck: (request) => this.requests.query(stuckEvents(this.config, Date.now(), request)),
      look: (row) => this.look(row),
      claim: (row) => this.claim(row),
      renew: (...renewal) => this.renew(...renewal),
      release: (claim) => this.release(claim),
      complete: (claim) => this.complete(claim),
      fail: (claim, error) => this.fail(claim, error),
      recover: (row) => this.recover(row),
      claimFailed: ({ id }, error) => this.errors.requestFailed("claim", id, error),
      recoveryFailed: ({ id }, error) => this.errors.requestFailed("recover", id, error),
      explained: (error) => this.doctor.explained(error),
      interrupted: (error) => this.errors.pollFailed(error),
    }
  }

  private async due(request: DuePageRequest): Promise<Page> {
    const page = await this.requests.query(dueEvents(this.config, Date.now(), request))
    this.doctor.isWell()
    this.abandoned.retry()
    return page
  }

  /** created → active, with the item as it is now. */
  private async claim(row: Row): Promise<ClaimOutcome> {
    const now = Date.now()
    const lease = newLease(row, now, this.config.processingTimeoutMs)
    let outcome: WriteOutcome
    try {
      outcome = await this.requests.write(transitions.claim(this.config.tableName, lease, now))
    } catch (error) {
      return this.claimFailed(lease, now, error)
    }
    if (outcome === "refused") return { kind: "lost" }
    if (outcome === "foreign")
      return { kind: "impossible", error: foreignItem(this.config.tableName, row.id) }
    // A mocked client responds without the item.
    const item = outcome.item ?? row
    const read = readItem(item)
    if ("unreadable" in read) {
      const aside = unreadableAttempt(item, read.unreadable)
      const written = await this.settle(lease, transitions.fail(this.config.tableName, lease, aside))
      if (isWritten(written)) this.tellOfFailure(aside, toFailedEvent(item))
      this.errors.report(read.unreadable)
      return { kind: "unreadable" }
    }
    const occurredAt = new Date(read.event.occurredAt)
    const storedOccurredAt = item.occurredAt as string
    return {
      kind: "won",
      claim: { ...read, occurredAt, storedOccurredAt, lease, ...marksOf(item, this.config.maxRetries) },
    }
  }

  /** Whether a row may be claimed, and what is known of it, without claiming it. */
  private async look({ id }: Row): Promise<Marks | undefined> {
    const attributes = ["status", "retryCount", "crashCount"]
    const item = await this.requests.get(this.config.tableName, id, attributes)
    // A mocked client responds without the item: the claim will tell.
    return item && item.status !== EventStatus.CREATED
      ? undefined
      : marksOf(item ?? {}, this.config.maxRetries)
  }

  private claimFailed(lease: Lease, claimedAt: number, error: unknown): ClaimOutcome {
    // DynamoDB refuses this very item; the events behind it go on.
    if (isNamed(error, "ValidationException")) return { kind: "impossible", error }
    this.abandoned.fence(lease, claimedAt)
    throw error
  }

  /** active → active, with a later end of the lease; false if the claim is lost. */
  private async renew(lease: Lease, leaseEndsAt: number, limitMs?: number): Promise<boolean> {
    // As long as it is not known whether a renewal was written, the same one is retried.
    lease.unconfirmedLeaseEnd ??= Math.ceil(leaseEndsAt)
    const renewedEnd = lease.unconfirmedLeaseEnd
    const input = transitions.renew(this.config.tableName, lease, renewedEnd)
    const outcome = await this.requests.write(input, limitMs)
    if (outcome === "refused") return false
    lease.leaseEndsAt = renewedEnd
    lease.unconfirmedLeaseEnd = undefined
    return true
  }

  /** active → created: claimed, but not started. */
  private async release({ lease }: Claim): Promise<Settlement | undefined> {
    const outcome = await this.settle(lease, transitions.release(this.config.tableName, lease))
    return isWritten(outcome) ? "released" : undefined
  }

  /** active → created: nobody here can handle it now, so it is due a little later, for whichever worker. */
  private postpone({ lease, ...claim }: Claim): Promise<Settlement | undefined> {
    const pauseMs = Math.max(this.backoff(1), MIN_RELEASE_PAUSE_MS)
    const dueAt = Math.max(Date.now() + pauseMs, lease.dueAt + 1)
    return this.release({ ...claim, lease: { ...lease, dueAt } })
  }

  /** active → completed: the handler has succeeded. */
  private async complete({ lease, event, storedOccurredAt }: Claim): Promise<Settlement | undefined> {
    this.deadline.handlerEnded()
    const { tableName, completedEvents } = this.config
    const completed = { id: lease.id, occurredAt: storedOccurredAt }
    const outcome = await this.settle(
      lease,
      completedEvents.kind === "delete"
        ? transitions.completeAndDelete(tableName, completed)
        : transitions.complete(tableName, completed, Date.now(), completedEvents),
    )
    if (outcome !== undefined) this.tell?.({ what: "delivered", ...namesOf(event) })
    // Where it is refused, an earlier try has completed it, or somebody has deleted it: the handler has succeeded all the same.
    return outcome === undefined ? undefined : "delivered"
  }

  /** active → created or failed: the handler has thrown `error`; or created, not counted, if that asks for it. */
  private async fail(claim: Claim, error: unknown): Promise<Settlement | undefined> {
    this.deadline.handlerEnded()
    if (asksForRelease(error)) return this.postpone(claim)
    const { lease, event, occurredAt, retryCount } = claim
    const attempt = this.failedAttempt(error, retryCount, occurredAt, lease.dueAt)
    const outcome = await this.settle(lease, transitions.fail(this.config.tableName, lease, attempt))
    if (isWritten(outcome)) this.tellOfFailure(attempt, event)
    this.errors.attemptFailed(error, event, isWritten(outcome) ? attempt : undefined)
    return isWritten(outcome) ? settlementOf(attempt) : undefined
  }

  /** active → created or failed: the lease has expired, so the attempt counts as failed. */
  private async recover(row: Row): Promise<Settlement | undefined> {
    const { tableName } = this.config
    const now = Date.now()
    // An index need not carry what the new state depends on.
    const hasAll = "retryCount" in row && "occurredAt" in row
    const item = hasAll ? row : await this.requests.get(tableName, row.id)
    if (item && !isEventItem(item)) throw foreignItem(tableName, row.id)
    const seen = item ?? row
    const { retryCount, occurredAt } = toFailedEvent(seen)
    const error = new Error(PROCESSING_TIMEOUT)
    const attempt = this.failedAttempt(error, retryCount, occurredAt, now)
    const input = transitions.recover(
      tableName,
      { id: row.id, token: randomUUID() },
      attempt,
      seen.retryCount,
      now,
    )
    const outcome = await this.requests.write(input)
    if (typeof outcome === "string") return undefined

    const read = outcome.item && readActiveItem(outcome.item)
    const event = read && "event" in read ? read.event : toFailedEvent(outcome.item ?? seen)
    this.tell?.({ what: "recovered", ...namesOf(event) })
    if (read && "unreadable" in read) {
      const aside = unreadableAttempt(outcome.item as Item, read.unreadable)
      const written = await this.requests.write(transitions.setAside(tableName, row.id, aside, attempt))
      this.tellOfFailure(isWritten(written) ? aside : attempt, event)
      this.errors.report(read.unreadable)
      return "deadLettered"
    }
    this.tellOfFailure(attempt, event)
    this.errors.attemptFailed(error, event, attempt)
    return settlementOf(attempt)
  }

  private get tell(): Diagnostics["tell"] {
    this.diagnostics ??= new Diagnostics(this.config.tableName)
    return this.diagnostics.tell
  }

  private tellOfFailure(attempt: FailedAttempt, event: BusEvent): void {
    const what = settlementOf(attempt) === "retried" ? "retried" : "dead-lettered"
    this.tell?.({ what, ...namesOf(event) })
  }

  private failedAttempt(error: unknown, retryCount: number, occurredAt: Date, dueAt: number): FailedAttempt {
    const backoff = (attempt: number) => this.backoff(attempt)
    return failedAttempt(
      { error, retryCount, occurredAt, dueAt },
      this.config.maxRetries,
      backoff,
      Date.now(),
    )
  }

  private backoff(attempt: number): number {
    const { baseBackoffMs, maxBackoffMs } = this.config
    return Math.min(retryDelay(baseBackoffMs, attempt), maxBackoffMs)
  }

  /**
   * Writes what became of a claim. Given up at the first error, the event would be delivered once more.
   * @returns undefined if no try succeeded.
   */
  private settle(
    lease: Lease,
    input: UpdateCommandInput | DeleteCommandInput,
  ): Promise<WriteOutcome | undefined> {
    return this.requests.writePersistently(input, (error) =>
      this.errors.requestFailed("settle", lease.id, error),
    )
  }
}

function namesOf({ id, type }: BusEvent): { eventId: string; eventType: string } {
  return { eventId: id, eventType: type }
}

function isWritten(outcome: WriteOutcome | undefined): boolean {
  return typeof outcome === "object"
}
