/**
 * The outbox: one method per step in the life of an event (publish, claim, complete, fail, recover), and the wiring of
 * index, relay and poll loop. What each write is, `transitions.ts` says; when it is sent, `relay.ts`.
 */
import { randomUUID } from "node:crypto"
import type { DynamoDBDocumentClient, UpdateCommandInput } from "@aws-sdk/lib-dynamodb"
import {
  type BusEvent,
  type ErrorHandler,
  type FailedBusEvent,
  type IOutbox,
  PollingService,
  ValidationError,
} from "outbox-event-bus"
import { failedAttempt, PROCESSING_TIMEOUT, setAside } from "./attempt.ts"
import { assertDistinctIds, assertRoomFor, type DynamoDBAwsSdkTransactionCollector } from "./collector.ts"
import { type DynamoDBAwsSdkOutboxConfig, type ResolvedConfig, resolveConfig } from "./config.ts"
import { listDeadLetters, retryDeadLetters } from "./dead-letters.ts"
import { documentClientFor } from "./document-client.ts"
import { ErrorReporter } from "./error-reporter.ts"
import { type Item, numberOf, readActiveItem, readItem, toFailedEvent, toItem } from "./event-item.ts"
import type { Claim, ClaimOutcome } from "./event-life.ts"
import { Patience } from "./patience.ts"
import { Recovery } from "./recovery.ts"
import { Relay } from "./relay.ts"
import { isNamed, Requests, type WriteOutcome } from "./requests.ts"
import { dueEvents, type Row, stuckEvents } from "./status-index.ts"
import { onTransactionEnd } from "./transaction-storage.ts"
import type { FailedAttempt, Hold } from "./transitions.ts"
import * as transitions from "./transitions.ts"

/** Shortest time for a poll to claim events in, however short the leases. */
const MIN_POLL_MS = 250
/** By then, the index usually shows what has just been published. */
const INDEX_LAG_MS = 100

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
  private readonly patience: Patience
  private readonly requests: Requests
  private readonly errors = new ErrorReporter()
  private readonly relay: Relay
  private readonly recovery: Recovery
  private readonly poller: PollingService
  private secondLook: NodeJS.Timeout | undefined
  private isStarted = false
  private starts = 0
  /** The poll under way belongs to a start that was followed by a stop and another start during its maintenance. */
  private isPollOver = false

  /**
   * @param config - See {@link DynamoDBAwsSdkOutboxConfig}; `client` and `tableName` are required.
   * @throws {ConfigurationError} for an option that is not allowed: names the option, its value and what is allowed.
   */
  constructor(config: DynamoDBAwsSdkOutboxConfig) {
    this.config = resolveConfig(config)
    this.docClient = documentClientFor(config.client)
    this.patience = new Patience(this.config.processingTimeoutMs)
    this.requests = new Requests(() => this.docClient, this.patience)
    this.relay = new Relay(
      {
        due: (request) => this.requests.query(dueEvents(this.config, Date.now(), request)),
        claim: (row) => this.claim(row),
        renew: (hold, leaseEndsAt) => this.renew(hold, leaseEndsAt),
        release: (claim) => this.release(claim),
        complete: (claim) => this.complete(claim),
        fail: (claim, error) => this.fail(claim, error),
      },
      this.config,
    )
    this.recovery = new Recovery(
      (page) => this.requests.query(stuckEvents(this.config, Date.now(), page)),
      (row) => this.recover(row),
      { intervalMs: this.config.processingTimeoutMs / 2, batchSize: this.config.batchSize },
    )
    this.poller = new PollingService({
      pollIntervalMs: this.config.pollIntervalMs,
      baseBackoffMs: this.config.baseBackoffMs,
      maxErrorBackoffMs: this.config.maxErrorBackoffMs,
      performMaintenance: () => this.lookForStuck(),
      processBatch: (handler) => this.handleDue(handler),
    })
  }

  /**
   * Stores events: with a collector, by pushing one `Put` per event for the caller to send; without, by one transaction of
   * their own. An id that is already in the table is refused, by whoever sends.
   *
   * @param events - At most 100, together with what the collector holds; none sends nothing.
   * @param transaction - The collector; default: the one that the option `getCollector` finds.
   * @throws {BatchSizeLimitError} for more than 100 items.
   * @throws {ValidationError} for what DynamoDB can't hold, and for ids that are published already. In either case
   * nothing is pushed or stored.
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
    const refused = await this.requests.writeAll(items)
    if (refused.length > 0) {
      const eventIds = refused.map((position) => events[position]?.id)
      throw new ValidationError(
        `Events are in the table "${tableName}" already: ${eventIds.join(", ")}. Nothing was published.`,
        { eventIds },
      )
    }
    this.wake()
  }

  /**
   * Lists dead letters, also those that can't be read as events.
   * @returns up to 100, the newest occurrence first, with error, retry count and time of the last attempt.
   */
  async getFailedEvents(): Promise<FailedBusEvent[]> {
    return listDeadLetters(this.requests, this.config)
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
      await retryDeadLetters(this.requests, this.config.tableName, eventIds)
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
   */
  start(handler: (event: BusEvent) => Promise<void>, onError: ErrorHandler): void {
    if (this.isStarted) return
    this.isStarted = true
    this.starts++
    this.errors.onError = onError
    this.recovery.reset()
    this.patience.takeTime()
    this.relay.start()
    this.poller.start(handler, this.errors.report)
  }

  /**
   * Starts no more handlers, waits for those that run, gives back what was claimed for later. With a database that does
   * not answer, it resolves at most ten seconds after the handlers have ended. Safe to call twice, and before {@link start}. Not
   * to be awaited in a handler, which would wait for itself.
   */
  async stop(): Promise<void> {
    this.isStarted = false
    clearTimeout(this.secondLook)
    this.secondLook = undefined
    this.patience.hurry()
    this.recovery.stop()
    const settled = this.relay.stop()
    await this.poller.stop()
    await settled
  }

  /**
   * Looks for due events now instead of at the next poll. `publish` without a collector and
   * `withDynamoDBAwsSdkTransaction` do so themselves; call it after committing a transaction of your own.
   */
  wake(): void {
    this.wakePoller()
    // The index may show the events a moment later only.
    this.secondLook ??= setTimeout(() => {
      this.secondLook = undefined
      this.wakePoller()
    }, INDEX_LAG_MS).unref()
  }

  private async lookForStuck(): Promise<void> {
    const { starts } = this
    try {
      await this.recovery.runIfDue()
    } finally {
      this.isPollOver = starts !== this.starts
    }
  }

  private async handleDue(handler: (event: BusEvent) => Promise<void>): Promise<void> {
    if (this.isPollOver) {
      this.isPollOver = false
      return
    }
    // A poll that has much to do makes room for recovery in between.
    const until = Date.now() + Math.max(MIN_POLL_MS, this.config.processingTimeoutMs / 2)
    const isFinished = await this.relay.handleDue(handler, until)
    if (!isFinished) this.wakePoller()
  }

  private wakePoller(): void {
    // Other implementations of the core need not have it; there, the next poll finds the events.
    ;(this.poller as { wake?: () => void }).wake?.()
  }

  /** created → active, with the item as it is now. */
  private async claim(row: Row): Promise<ClaimOutcome> {
    const now = Date.now()
    const hold: Hold = {
      id: row.id,
      token: randomUUID(),
      leaseEndsAt: Math.ceil(now + this.config.processingTimeoutMs),
      dueAt: numberOf(row.gsiSortKey) ?? now,
    }
    let outcome: WriteOutcome
    try {
      outcome = await this.requests.write(transitions.claim(this.config.tableName, hold, now))
    } catch (error) {
      return this.claimFailed(hold, error)
    }
    if (outcome === "refused") return { kind: "lost" }
    // A mocked client answers without the item.
    const item = outcome.item ?? row
    const read = readItem(item)
    if ("unreadable" in read) {
      await this.settle(hold, transitions.fail(this.config.tableName, hold, setAside(item, read.unreadable)))
      this.errors.report(read.unreadable)
      return { kind: "unreadable" }
    }
    const wasRecovered = item.lastError === PROCESSING_TIMEOUT
    const isLastAttempt = read.retryCount + 1 >= this.config.maxRetries
    return { kind: "won", claim: { ...read, hold, wasRecovered, isLastAttempt } }
  }

  private async claimFailed(hold: Hold, error: unknown): Promise<ClaimOutcome> {
    if (isNamed(error, "ValidationException")) {
      // DynamoDB refuses this very item; the events behind it go on.
      this.errors.requestFailed("claim", hold.id, error)
      return { kind: "unreadable" }
    }
    // Perhaps the claim was written and only the answer got lost: left as it is, it would count as an attempt.
    if (!this.patience.isHurried)
      await this.requests.write(transitions.release(this.config.tableName, hold)).catch(() => {})
    throw error
  }

  /** active → active, with a later end of the lease; false if the claim is lost. */
  private async renew(hold: Hold, leaseEndsAt: number): Promise<boolean> {
    // As long as it is not known whether a renewal was written, the same one is tried again.
    hold.unconfirmedLeaseEnd ??= Math.ceil(leaseEndsAt)
    const renewedEnd = hold.unconfirmedLeaseEnd
    const outcome = await this.requests.write(transitions.renew(this.config.tableName, hold, renewedEnd))
    if (outcome === "refused") return false
    hold.leaseEndsAt = renewedEnd
    hold.unconfirmedLeaseEnd = undefined
    return true
  }

  /** active → created: claimed, but not started. */
  private async release({ hold }: Claim): Promise<void> {
    await this.settle(hold, transitions.release(this.config.tableName, hold))
  }

  /** active → completed: the handler has succeeded. */
  private async complete({ hold }: Claim): Promise<void> {
    await this.settle(hold, transitions.complete(this.config.tableName, hold.id, Date.now()))
  }

  /** active → created or failed: the handler has thrown `error`. */
  private async fail({ hold, event, retryCount }: Claim, error: unknown): Promise<void> {
    const attempt = this.failedAttempt(error, retryCount, event.occurredAt, hold.dueAt)
    const isWritten = await this.settle(hold, transitions.fail(this.config.tableName, hold, attempt))
    this.errors.attemptFailed(error, event, isWritten ? attempt : undefined)
  }

  /** active → created or failed: the lease is over, so the attempt counts as failed. */
  private async recover(row: Row): Promise<void> {
    const { tableName } = this.config
    const now = Date.now()
    // An index need not carry what the new state depends on.
    const hasAll = "retryCount" in row && "occurredAt" in row
    const seen = hasAll ? row : ((await this.requests.get(tableName, row.id)) ?? row)
    const { retryCount, occurredAt } = toFailedEvent(seen)
    const error = new Error(PROCESSING_TIMEOUT)
    const attempt = this.failedAttempt(error, retryCount, occurredAt, now)
    const outcome = await this.requests.write(
      transitions.recover(tableName, { id: row.id, token: randomUUID() }, attempt, seen.retryCount, now),
    )
    if (outcome === "refused") return

    const read = outcome.item && readActiveItem(outcome.item)
    if (read && "unreadable" in read) {
      const aside = setAside(outcome.item as Item, read.unreadable)
      await this.requests.write(transitions.setAside(tableName, row.id, aside, attempt))
      this.errors.report(read.unreadable)
    } else {
      this.errors.attemptFailed(error, read?.event ?? toFailedEvent(seen), attempt)
    }
  }

  private failedAttempt(error: unknown, retryCount: number, occurredAt: Date, dueAt: number): FailedAttempt {
    const backoff = (attempt: number) => this.poller.calculateBackoff(attempt)
    return failedAttempt(
      { error, retryCount, occurredAt, dueAt },
      this.config.maxRetries,
      backoff,
      Date.now(),
    )
  }

  /**
   * Writes what became of a claim. Given up at the first error, the event would be delivered once more.
   * @returns whether it was written.
   */
  private async settle(hold: Hold, input: UpdateCommandInput): Promise<boolean> {
    const outcome = await this.requests.writePersistently(input, (error) =>
      this.errors.requestFailed("settle", hold.id, error),
    )
    return outcome !== undefined && outcome !== "refused"
  }
}
