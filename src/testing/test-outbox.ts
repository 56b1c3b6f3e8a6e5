/** The outbox for tests: the real class on a table in memory, and what can be seen of it. */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import type { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import {
  type BusEvent,
  type ErrorHandler,
  EventStatus,
  type FailedBusEvent,
  ValidationError,
} from "outbox-event-bus"
import type { DynamoDBAwsSdkOutboxConfig } from "../config.ts"
import { DynamoDBAwsSdkOutbox } from "../dynamodb-aws-sdk-outbox.ts"
import { type Item, readItem, toFailedEvent } from "../item/event-item.ts"
import { turnOfTheEventLoop } from "../process/event-loop.ts"
import type { DynamoDBAwsSdkTransactionCollector, TransactWriteItem } from "../transaction/collector.ts"
import { MemoryTable } from "./memory-table.ts"
import { readBack } from "./read-back.ts"

/** No real table's: code under test may send its transactions by a client of its own. */
const DEFAULT_TABLE_NAME = "table-of-a-test-outbox"

/** Options of {@link TestOutbox}: those of the outbox, all optional. */
export interface TestOutboxOptions extends Partial<Omit<DynamoDBAwsSdkOutboxConfig, "client">> {
  /**
   * Retries are due at once unless this is set; then they wait as in production, by the clock, which a test may fake.
   * @default retries at once
   */
  baseBackoffMs?: number | undefined
  /**
   * Pause between polls, for what becomes due later. What is published, committed or retried is delivered without a pause.
   * @default 100
   */
  pollIntervalMs?: number | undefined
}

/**
 * Behaves like {@link DynamoDBAwsSdkOutbox}, because it is one: conversion, limits, attempts, dead letters, duplicate ids and
 * collectors are the real ones. Only DynamoDB is replaced by a table in memory, so nothing is sent. Needs no test runner, and
 * works while timers are faked.
 *
 * @example
 * ```ts
 * const outbox = new TestOutbox({ maxRetries: 3 })
 * const bus = new OutboxEventBus(outbox, onError)
 * bus.on("order.placed", shipOrder)
 * bus.start()
 *
 * await bus.emit({ type: "order.placed", payload: { orderId: "42" } })
 * await outbox.idle()
 *
 * assert.equal(outbox.delivered.length, 1)
 * assert.deepEqual(outbox.failed, [])
 * ```
 */
export class TestOutbox extends DynamoDBAwsSdkOutbox {
  /** The events that were stored, in that order; those of a transaction once it was committed. As a handler gets them. */
  readonly published: readonly BusEvent[]
  /** The events that a handler has succeeded with, in that order. */
  readonly delivered: readonly BusEvent[]
  /** The dead letters, as `getFailedEvents()` returns them, the latest last. Those that are retried leave it. */
  readonly failed: readonly FailedBusEvent[]
  /**
   * A document client for code that sends a transaction by itself: takes `TransactWriteCommand` and does what {@link commit}
   * does; rejects everything else.
   */
  readonly client: DynamoDBDocumentClient
  private readonly table: MemoryTable
  private readonly deliversByItself: boolean
  private isStarted = false
  private changed: Array<() => void> = []

  /**
   * @param options - See {@link TestOutboxOptions}.
   * @throws {ConfigurationError} as the real outbox does.
   */
  constructor(options: TestOutboxOptions = {}) {
    const tableName = options.tableName ?? DEFAULT_TABLE_NAME
    const published: BusEvent[] = []
    const delivered: BusEvent[] = []
    const failed: FailedBusEvent[] = []
    const onChange = (after: Item, before: Item | undefined) => {
      if (!before) published.push(eventOf(after))
      if (before?.status === EventStatus.FAILED) {
        failed.splice(
          failed.findIndex(({ id }) => id === after.id),
          1,
        )
      }
      if (after.status === EventStatus.COMPLETED) delivered.push(eventOf(after))
      if (after.status === EventStatus.FAILED) failed.push(toFailedEvent(readBack(after) as Item))
      for (const resolve of this.changed.splice(0)) resolve()
    }
    const table = new MemoryTable(tableName, (options.baseBackoffMs ?? undefined) === undefined, onChange)
    super({
      ...options,
      pollIntervalMs: options.pollIntervalMs ?? 100,
      baseBackoffMs: options.baseBackoffMs ?? 0,
      tableName,
      client: table as unknown as DynamoDBClient,
    })
    // Also where a test has replaced `DynamoDBDocumentClient.from`, which makes the real outbox's.
    Object.assign(this, { docClient: table })
    this.table = table
    this.deliversByItself = options.polling ?? true
    this.published = published
    this.delivered = delivered
    this.failed = failed
    this.client = transactionsOnly((items) => this.commit(items)) as DynamoDBDocumentClient
  }

  /**
   * Commits a transaction that events were pushed into, as sending it to DynamoDB would: its events are published. Writes to
   * other tables are taken as done, and their conditions as fulfilled.
   *
   * @param transaction - The collector, or its items.
   * @throws {TransactionCanceledException} when an event's id is taken; then nothing is published.
   * @throws {ValidationError} for a collector that doesn't show its `items`.
   * @throws {DynamoDBServiceException} for no items, more than 100, or two writes for one event.
   */
  async commit(
    transaction: DynamoDBAwsSdkTransactionCollector | readonly TransactWriteItem[],
  ): Promise<void> {
    const items = "items" in transaction ? transaction.items : transaction
    if (!Array.isArray(items)) {
      throw new ValidationError(
        "commit takes an array of TransactWriteItems, or a collector that has its items",
      )
    }
    this.table.transact(items)
    this.wake()
  }

  /**
   * Resolves when nothing is left to do now: no handler runs, and no event is due. What waits for a time to come (an
   * `occurredAt` in the future, a retry where `baseBackoffMs` is set) does not count, nor does anything while the outbox is stopped, or
   * without `polling`: then `drain()` delivers.
   * Uses no timer. Not to be awaited in a handler, which would wait for itself.
   */
  async idle(): Promise<void> {
    for (;;) {
      if (this.isBusy) {
        await new Promise<void>((resolve) => this.changed.push(resolve))
      } else {
        // Errors of the last event are reported by then.
        await turnOfTheEventLoop()
        if (!this.isBusy) return
      }
    }
  }

  override start(handler: (event: BusEvent) => Promise<void>, onError: ErrorHandler): void {
    super.start(handler, onError)
    this.isStarted = this.deliversByItself
  }

  override async stop(): Promise<void> {
    await super.stop()
    this.isStarted = false
    for (const resolve of this.changed.splice(0)) resolve()
  }

  private get isBusy(): boolean {
    return this.isStarted && this.table.hasWork(Date.now())
  }
}

function eventOf(item: Item): BusEvent {
  const read = readItem(readBack(item) as Item)
  if ("unreadable" in read) throw read.unreadable
  return read.event
}

/** A document client that takes `TransactWriteCommand` alone. */
function transactionsOnly(commit: (items: readonly TransactWriteItem[]) => Promise<void>): { send: unknown } {
  return {
    send: async (command: { input?: { TransactItems?: TransactWriteItem[] } }) => {
      const items = command.input?.TransactItems
      if (!items) {
        const name = command.constructor.name
        throw new Error(
          `The client of a TestOutbox takes TransactWriteCommand only, not ${name}: mock what else you send`,
        )
      }
      await commit(items)
      return { $metadata: {} }
    },
  }
}
