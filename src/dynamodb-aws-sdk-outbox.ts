/**
 * The outbox: one method per step in the life of an event (publish, claim, complete, fail, recover), and the wiring of
 * index, relay and poll loop. What each write is, `transitions.ts` says; when it is sent, `relay.ts`.
 */
import { randomUUID } from "node:crypto"
import type { DynamoDBDocumentClient, UpdateCommandInput } from "@aws-sdk/lib-dynamodb"
import {
  type BusEvent,
  type ErrorHandler,
  EventStatus,
  type FailedBusEvent,
  type IOutbox,
} from "outbox-event-bus"
import { type DynamoDBAwsSdkOutboxConfig, type ResolvedConfig, resolveConfig } from "./config.ts"
import { documentClientFor } from "./database/document-client.ts"
import { isNamed } from "./database/dynamodb-errors.ts"
import { RequestDeadline } from "./database/request-deadline.ts"
import type { Page } from "./database/requests.ts"
import { Requests, type WriteOutcome } from "./database/requests.ts"
import { AbandonedClaims } from "./delivery/abandoned-claims.ts"
import { Deliveries } from "./delivery/deliveries.ts"
import { Delivery } from "./delivery/delivery.ts"
import { ErrorReporter } from "./delivery/error-reporter.ts"
import type { Claim, ClaimOutcome, EventOperations, StuckEvents } from "./delivery/event-operations.ts"
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
import { onTransactionEnd, warnIfInTransaction } from "./transaction-storage.ts"

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
  private readonly deliveries: Deliveries

  /**
   * @param config - See {@link DynamoDBAwsSdkOutboxConfig}; `client` and `tableName` are required.
   * @throws {ConfigurationError} for an option that is not allowed: names the option, its value and what is allowed.
   */
  constructor(config: DynamoDBAwsSdkOutboxConfig) {
    this.config = resolveConfig(config)
    // A bus asks for this before it lets its handlers release events.
    Object.defineProperty(this, RELEASE, { value: true })
    this.docClient = documentClientFor(config.client)
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
      for (const item of items) collector.push(item)
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
   * started.
   *
   * @param handler - Runs for each event; resolves when the event is handled. It may see an event more than once.
   * @param onError - Told of every error, once. What it throws becomes a process warning.
   * @throws {ConfigurationError} when the outbox was made without `tableName`.
   */
  start(handler: (event: BusEvent) => Promise<void>, onError: ErrorHandler): void {
    this.deliveries.start(handler, onError)
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
    await this.deliveries.stop()
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
      interrupted: (error) => this.errors.pollFailed(error),
    }
  }

  private async due(request: DuePageRequest): Promise<Page> {
    const page = await this.requests.query(dueEvents(this.config, Date.now(), request))
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
  private async release({ lease }: Claim): Promise<void> {
    await this.settle(lease, transitions.release(this.config.tableName, lease))
  }

  /** active → created: nobody here can handle it now, so it is due a little later, for whichever worker. */
  private async postpone({ lease }: Claim): Promise<void> {
    const pauseMs = Math.max(this.backoff(1), MIN_RELEASE_PAUSE_MS)
    const dueAt = Math.max(Date.now() + pauseMs, lease.dueAt + 1)
    await this.settle(lease, transitions.release(this.config.tableName, { ...lease, dueAt }))
  }

  /** active → completed: the handler has succeeded. */
  private async complete({ lease, storedOccurredAt }: Claim): Promise<void> {
    this.deadline.handlerEnded()
    const event = { id: lease.id, occurredAt: storedOccurredAt }
    await this.settle(lease, transitions.complete(this.config.tableName, event, Date.now()))
  }

  /** active → created or failed: the handler has thrown `error`; or created, not counted, if that asks for it. */
  private async fail(claim: Claim, error: unknown): Promise<void> {
    this.deadline.handlerEnded()
    if (asksForRelease(error)) return this.postpone(claim)
    const { lease, event, occurredAt, retryCount } = claim
    const attempt = this.failedAttempt(error, retryCount, occurredAt, lease.dueAt)
    const isWritten = await this.settle(lease, transitions.fail(this.config.tableName, lease, attempt))
    this.errors.attemptFailed(error, event, isWritten ? attempt : undefined)
  }

  /** active → created or failed: the lease has expired, so the attempt counts as failed. */
  private async recover(row: Row): Promise<void> {
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
    if (typeof outcome === "string") return

    const read = outcome.item && readActiveItem(outcome.item)
    if (read && "unreadable" in read) {
      const aside = unreadableAttempt(outcome.item as Item, read.unreadable)
      await this.requests.write(transitions.setAside(tableName, row.id, aside, attempt))
      this.errors.report(read.unreadable)
    } else {
      this.errors.attemptFailed(error, read?.event ?? toFailedEvent(seen), attempt)
    }
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
   * @returns whether it was written.
   */
  private async settle(lease: Lease, input: UpdateCommandInput): Promise<boolean> {
    const outcome = await this.requests.writePersistently(input, (error) =>
      this.errors.requestFailed("settle", lease.id, error),
    )
    return typeof outcome === "object"
  }
}
