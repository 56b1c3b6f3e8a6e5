/**
 * The outbox as users have it: publishing, starting and stopping, delivery on demand, dead letters; and the wiring. The steps in the
 * life of an event are in `delivery/event-steps.ts`.
 */
import type { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import {
  type BusEvent,
  type ErrorHandler,
  type FailedBusEvent,
  type IOutbox,
  OperationalError,
} from "outbox-event-bus"
import { type DynamoDBAwsSdkOutboxConfig, type ResolvedConfig, resolveConfig } from "./config.ts"
import { documentClientFor } from "./database/document-client.ts"
import { RequestDeadline } from "./database/request-deadline.ts"
import { Requests } from "./database/requests.ts"
import { Deliveries } from "./delivery/deliveries.ts"
import { Delivery, type DeliveryHealth } from "./delivery/delivery.ts"
import { Drain, type DrainResult } from "./delivery/drain.ts"
import { type DeliveryResult, type DrainFactory, Drains } from "./delivery/drains.ts"
import { ErrorReporter } from "./delivery/error-reporter.ts"
import { EventSteps } from "./delivery/event-steps.ts"
import type { DeliveryBounds, DrainBounds } from "./delivery/start-limit.ts"
import { assertEventIds } from "./item/event-ids.ts"
import { toItem } from "./item/event-item.ts"
import { EventAlreadyPublishedError } from "./item/publish-errors.ts"
import { listDeadLetters, retryDeadLetters } from "./operations/dead-letters.ts"
import { TableDoctor } from "./operations/table-doctor.ts"
import { Diagnostics } from "./process/diagnostics.ts"
import { warnIfOnLambda } from "./process/warnings.ts"
import { RELEASE } from "./state/attempt.ts"
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
  /** What the caller waits for: a stop does not hurry it, and `send` gets the command alone. */
  private readonly callerRequests: Requests
  private readonly errors = new ErrorReporter()
  private readonly steps: EventSteps
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
    const { processingTimeoutMs } = this.config
    const deadline = new RequestDeadline(processingTimeoutMs)
    const requests = new Requests(() => this.docClient, deadline, true)
    const doctor = new TableDoctor(config.client, this.config)
    this.steps = new EventSteps(this.config, requests, deadline, this.errors, doctor)
    const { abandoned } = this.steps
    this.callerRequests = new Requests(() => this.docClient, new RequestDeadline(processingTimeoutMs), false)
    // A missing table is refused when it starts, once, rather than reported by every poll.
    const createDelivery = () => new Delivery(this.steps.operations(), this.config)
    this.deliveries = new Deliveries(createDelivery, deadline, abandoned, this.errors)
    const createDrain: DrainFactory = (...limits) =>
      new Drain(this.steps.operations(), this.config, () => abandoned.idle(), ...limits)
    this.drains = new Drains(createDrain, deadline, abandoned, this.errors)
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
      this.tellOf(events)
      return
    }
    warnIfInTransaction()
    const refused = await this.callerRequests.writeAll(items)
    if (refused.length > 0) {
      const eventIds = refused.flatMap((position) => items[position]?.Put.Item?.id ?? [])
      throw new EventAlreadyPublishedError(tableName, eventIds)
    }
    this.tellOf(events)
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

  private tellOf(events: readonly BusEvent[]): void {
    const { tell } = new Diagnostics(this.config.tableName)
    if (tell) for (const { id, type } of events) tell({ what: "published", eventId: id, eventType: type })
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
}
