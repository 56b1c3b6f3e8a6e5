/**
 * The outbox: one method per step in the life of an event (publish, claim, complete, fail, recover), and the wiring of
 * index, relay and poll loop. What each write is, `transitions.ts` says; when it is sent, `relay.ts`.
 */
import { randomUUID } from "node:crypto"
import type { DeleteCommandInput, DynamoDBDocumentClient, UpdateCommandInput } from "@aws-sdk/lib-dynamodb"
import {
  type BusEvent,
  type ErrorHandler,
  EventStatus,
  type FailedBusEvent,
  type IOutbox,
  OperationalError,
} from "outbox-event-bus"
import { type DynamoDBAwsSdkOutboxConfig, type ResolvedConfig, resolveConfig } from "./config.ts"
import { documentClientFor } from "./database/document-client.ts"
import { isNamed } from "./database/dynamodb-errors.ts"
import { RequestDeadline } from "./database/request-deadline.ts"
import type { Page } from "./database/requests.ts"
import { Requests, type WriteOutcome } from "./database/requests.ts"
import { AbandonedClaims } from "./delivery/abandoned-claims.ts"
import { Deliveries } from "./delivery/deliveries.ts"
import { Delivery, type DeliveryHealth } from "./delivery/delivery.ts"
import { Drain, type DrainResult } from "./delivery/drain.ts"
import { type DeliveryResult, type DrainFactory, Drains } from "./delivery/drains.ts"
import { ErrorReporter } from "./delivery/error-reporter.ts"
import type {
  Claim,
  ClaimOutcome,
  EventOperations,
  Settlement,
  StuckEvents,
} from "./delivery/event-operations.ts"
import type { DeliveryBounds, DrainBounds } from "./delivery/start-limit.ts"
import { assertEventIds } from "./item/event-ids.ts"
import {
  foreignItem,
  type Item,
  isEventItem,
  readActiveItem,
  readItem,
  toFailedEvent,
  toItem,
} from "./item/event-item.ts"
import { EventAlreadyPublishedError } from "./item/publish-errors.ts"
import { listDeadLetters, retryDeadLetters } from "./operations/dead-letters.ts"
import { TableDoctor } from "./operations/table-doctor.ts"
import { warnIfOnLambda } from "./process/warnings.ts"
import type { Marks } from "./state/attempt.ts"
import {
  asksForRelease,
  failedAttempt,
  MIN_RELEASE_PAUSE_MS,
  marksOf,
  newLease,
  PROCESSING_TIMEOUT,
  RELEASE,
  retryDelay,
  settlementOf,
  unreadableAttempt,
} from "./state/attempt.ts"
import { type DuePageRequest, dueEvents, type Row, stuckEvents } from "./state/status-index.ts"
import type { FailedAttempt, Lease } from "./state/transitions.ts"
import * as transitions from "./state/transitions.ts"
import {
  assertDistinctIds,
  assertRoomFor,
  type DynamoDBAwsSdkTransactionCollector,
} from "./transaction/collector.ts"
import { markAsEvent, onTransactionEnd, warnIfInTransaction } from "./transaction-storage.ts"

/** How a relay does: see {@link DynamoDBAwsSdkOutbox.health}. */
export interface OutboxHealth extends DeliveryHealth {
  /** `start()` was called, and `stop()` was not. */
  readonly isStarted: boolean
}

/**
 * Stores events in a DynamoDB table, in the caller's transaction if there is one, and delivers each at least once.
 *
 * @example
 * ```ts
 * const outbox = new DynamoDBAwsSdkOutbox({
 *   client: new DynamoDBClient({}),
 *   tableName: "outbox",
 *   getCollector: getDynamoDBAwsSdkCollector(),
 * })
 * const bus = new OutboxEventBus(outbox, (error) => console.error(error))
 * ```
 */
export class DynamoDBAwsSdkOutbox implements IOutbox<DynamoDBAwsSdkTransactionCollector> {
  private readonly config: ResolvedConfig
  private readonly docClient: DynamoDBDocumentClient
  private readonly deadline: RequestDeadline
  private readonly requests: Requests
  /** What the caller waits for: a stop does not hurry it, and `send` gets the command alone. */
  private readonly callerRequests: Requests
  private readonly errors = new ErrorReporter()
  private readonly abandoned: AbandonedClaims
  private readonly doctor: TableDoctor
  private readonly deliveries: Deliveries
  /** In place of deliveries, without `polling`. */
  private readonly drains: Drains

  /**
   * @param config - See {@link DynamoDBAwsSdkOutboxConfig}; `client` and `tableName` are required.
   * @throws {ConfigurationError} for an option that is not allowed: names the option, its value and what is allowed.
   */
  constructor(config: DynamoDBAwsSdkOutboxConfig) {
    this.config = resolveConfig(config)
    // A bus asks for this before it lets its handlers release events.
    Object.defineProperty(this, RELEASE, { value: true })
    this.docClient = documentClientFor(config.client)
    this.doctor = new TableDoctor(config.client, this.config)
    const { processingTimeoutMs } = this.config
    this.deadline = new RequestDeadline(processingTimeoutMs)
    this.requests = new Requests(() => this.docClient, this.deadline, true)
    this.abandoned = new AbandonedClaims(
      (lease, at) => this.requests.write(transitions.fence(this.config.tableName, lease, at)),
      processingTimeoutMs,
    )
    this.callerRequests = new Requests(() => this.docClient, new RequestDeadline(processingTimeoutMs), false)
    // A missing table is refused when it starts, once, rather than reported by every poll.
    const createDelivery = () => new Delivery(this.operations(), this.config)
    this.deliveries = new Deliveries(createDelivery, this.deadline, this.abandoned, this.errors)
    const createDrain: DrainFactory = (...limits) =>
      new Drain(this.operations(), this.config, () => this.abandoned.idle(), ...limits)
    this.drains = new Drains(createDrain, this.deadline, this.abandoned, this.errors)
  }

  /**
   * Stores events: with a collector, by pushing one `Put` per event for the caller to send; without, by one transaction of
   * their own. An id that is already in the table is refused, by whoever sends.
   *
   * @param events - At most 100, together with what the collector holds; none sends nothing.
   * @param transaction - The collector; default: the one that the option `getCollector` finds.
   * @throws {BatchSizeLimitError} for more than 100 items.
   * @throws {UnstorableEventError} for what DynamoDB can't hold.
   * @throws {DuplicateEventIdError} for an id that occurs twice in the transaction.
   * @throws {EventAlreadyPublishedError} for ids that are in the table already. In no case anything is pushed or stored.
   */
  async publish(events: BusEvent[], transaction?: DynamoDBAwsSdkTransactionCollector): Promise<void> {
    if (events.length === 0) return
    const { tableName, getCollector } = this.config
    const collector = transaction ?? getCollector?.() ?? undefined
    assertRoomFor(events.length, collector)
    const items = events.map((event) => ({ Put: transitions.publish(tableName, toItem(event)) }))
    assertDistinctIds(items, collector)

    if (collector) {
      for (const item of items) {
        collector.push(item)
        markAsEvent(collector, item, item.Put.Item?.id as string)
      }
      onTransactionEnd(collector, () => this.wake())
      return
    }
    warnIfInTransaction()
    const refused = await this.callerRequests.writeAll(items)
    if (refused.length > 0) {
      const eventIds = refused.flatMap((position) => items[position]?.Put.Item?.id ?? [])
      throw new EventAlreadyPublishedError(tableName, eventIds)
    }
    this.wake()
  }

  /**
   * Lists dead letters, also those that can't be read as events.
   * @returns up to 100, the newest occurrence first, with error, retry count and time of the last attempt.
   */
  async getFailedEvents(): Promise<FailedBusEvent[]> {
    return listDeadLetters(this.callerRequests, this.config)
  }

  /**
   * Sets dead letters back: due now, with all attempts before them.
   *
   * @param eventIds - Ids of failed events. Those that are unknown or not failed are left alone.
   * @throws {ValidationError} when `eventIds` is not an array of non-empty strings.
   * @throws {OperationalError} that names the ids for which the request failed; the others are set back.
   */
  async retryEvents(eventIds: string[]): Promise<void> {
    try {
      await retryDeadLetters(this.callerRequests, this.config.tableName, eventIds)
    } finally {
      this.wake()
    }
  }

  /**
   * Starts delivering, until {@link stop}; after one that is still under way, when that has ended. Does nothing while
   * started. With `polling: false`, it only hands over the handlers: {@link drain} runs them.
   *
   * @param handler - Runs for each event; resolves when the event is handled. It may see an event more than once.
   * @param onError - Told of every error, once. What it throws becomes a process warning.
   * @throws {ConfigurationError} when the outbox was made without `tableName`.
   */
  start(handler: (event: BusEvent) => Promise<void>, onError: ErrorHandler): void {
    if (!this.config.polling) {
      this.drains.start(handler, onError)
      return
    }
    warnIfOnLambda()
    this.deliveries.start(handler, onError)
  }

  /**
   * Delivers what is due, and returns when nothing is left or a bound is reached: for scheduled jobs and Lambda functions. Needs
   * the option `polling: false`, and handlers: call `start()` of the bus once, which then starts no loop.
   *
   * Expired leases are recovered first, as by any worker. No handler is started that is unlikely to end before the deadline: the
   * measure is the longest duration of the last 100 handlers or more, and half a second is kept for writing the results. What
   * was claimed and has not started by then is released without counting an attempt; a handler that still runs shortly before the
   * deadline goes on, but is not waited for. Where no time is left from the beginning, the table is not read. Several drains at once share the work like several workers.
   *
   * @param bounds - When to end before everything is delivered, and which events to deliver. Default: all, to the end.
   * @returns how many events were delivered, set back for a retry, dead-lettered or released, and why it has ended.
   * @throws {OperationalError} when the table can't be read, within ten seconds or before the deadline; `context.result` says what
   *   was done before that. Also without handlers, with `polling`, and in a handler of this outbox.
   * @throws {ValidationError} for a bound that is not allowed.
   * @example
   * ```ts
   * export const sweep = async (_event: unknown, context: Context) => {
   *   return outbox.drain({ deadline: () => context.getRemainingTimeInMillis() })
   * }
   * ```
   */
  async drain(bounds: DrainBounds = {}): Promise<DrainResult> {
    this.assertWithoutPolling("drain")
    return this.drains.drain(bounds)
  }

  /**
   * Delivers these events now, for whoever learns of their ids: from a stream, for example. Only events that are waiting and due
   * are delivered; others are left alone. Needs the same as {@link drain}, and ends by the same rules.
   *
   * @param eventIds - Ids of events in the table.
   * @param bounds - When to end before everything is delivered. Default: not before.
   * @returns the same as {@link drain}, and `unclaimed`: the ids of events whose claim has failed because DynamoDB did not carry it
   *   out. Nobody has them, as far as is known; they stay due.
   * @throws {OperationalError} without handlers, with `polling`, and in a handler of this outbox.
   * @throws {ValidationError} for a bound or an id that is not allowed.
   */
  async deliver(eventIds: readonly string[], bounds: DeliveryBounds = {}): Promise<DeliveryResult> {
    this.assertWithoutPolling("deliver")
    assertEventIds("deliver", eventIds)
    const rows = [...new Set(eventIds)].map((id) => ({ id }))
    return this.drains.deliver(rows, bounds)
  }

  /**
   * How the relay does, for health checks: no request is sent.
   *
   * @returns whether it is started, how many handlers run, and when a poll has last succeeded and failed. Without `polling`, there are
   *   no polls.
   * @example
   * ```ts
   * const { isStarted, lastPollSucceededAt } = outbox.health()
   * const isAlive = isStarted && Date.now() - (lastPollSucceededAt?.getTime() ?? startedAt) < 60_000
   * ```
   */
  health(): OutboxHealth {
    if (this.config.polling) {
      const { health } = this.deliveries
      return { isStarted: health !== undefined, runningHandlers: 0, ...health }
    }
    const { runningHandlers } = this.drains
    return { isStarted: runningHandlers !== undefined, runningHandlers: runningHandlers ?? 0 }
  }

  private assertWithoutPolling(method: string): void {
    if (!this.config.polling) return
    throw new OperationalError(
      `${method}() and the stream handler are for an outbox with the option polling: false; this one has a poll loop, which ` +
        "delivers by itself.",
    )
  }

  /**
   * Starts no more handlers, waits for those that run, releases what was claimed for later. Before the first poll of a
   * start has handed over anything, that poll still delivers one page of `batchSize`, whose handlers start within ten
   * seconds. With a database that does not respond, it resolves at most ten seconds after the handlers have ended. Safe to call
   * twice, and before {@link start}.
   *
   * Called inside a handler, it resolves at once, with a process warning: it can't wait for that handler, which may be waiting
   * for it. The outbox stops all the same, when the handlers have ended.
   */
  async stop(): Promise<void> {
    await (this.config.polling ? this.deliveries : this.drains).stop()
  }

  /**
   * Looks for due events now instead of at the next poll. `publish` without a collector and
   * `withDynamoDBAwsSdkTransaction` do so themselves; call it after committing a transaction of your own.
   */
  wake(): void {
    this.deliveries.wake()
  }

  private operations(): EventOperations & StuckEvents {
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
      await this.settle(
        lease,
        transitions.fail(this.config.tableName, lease, unreadableAttempt(item, read.unreadable)),
      )
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
  private async complete({ lease, storedOccurredAt }: Claim): Promise<Settlement | undefined> {
    this.deadline.handlerEnded()
    const { tableName, completedEvents } = this.config
    const event = { id: lease.id, occurredAt: storedOccurredAt }
    const outcome = await this.settle(
      lease,
      completedEvents.kind === "delete"
        ? transitions.completeAndDelete(tableName, event)
        : transitions.complete(tableName, event, Date.now(), completedEvents),
    )
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
    if (read && "unreadable" in read) {
      const aside = unreadableAttempt(outcome.item as Item, read.unreadable)
      await this.requests.write(transitions.setAside(tableName, row.id, aside, attempt))
      this.errors.report(read.unreadable)
      return "deadLettered"
    }
    this.errors.attemptFailed(error, read?.event ?? toFailedEvent(seen), attempt)
    return settlementOf(attempt)
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

function isWritten(outcome: WriteOutcome | undefined): boolean {
  return typeof outcome === "object"
}
