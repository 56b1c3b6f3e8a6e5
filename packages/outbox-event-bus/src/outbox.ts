// What an outbox must offer to the bus, and the options outboxes have in common.

import type { OutboxError } from "./errors.ts"
import type { BusEvent, FailedBusEvent } from "./event.ts"

/**
 * Is told about every failure that nobody awaits: failed attempts, dead letters, failed polls.
 *
 * It may throw or return a promise that rejects: that changes nothing but a process warning.
 */
export type ErrorHandler = (error: OutboxError) => void

/**
 * Stores events and delivers each of them, at least once, to a handler.
 *
 * @typeParam TTransaction - what `publish` joins to store events together with other data: a session, a client inside
 * a transaction, a collector of writes
 */
export interface IOutbox<TTransaction = unknown> {
  /**
   * Stores events.
   *
   * @param events - the events, complete with id and time; nothing happens for an empty list
   * @param transaction - the transaction to store them in; without it they are stored at once
   */
  publish(events: BusEvent[], transaction?: TTransaction): Promise<void>

  /**
   * The dead letters, newest occurrence first unless the implementation documents another order. It may cap the list.
   */
  getFailedEvents(): Promise<FailedBusEvent[]>

  /**
   * Queues dead letters again, with a retry count of 0. Ids that belong to no dead letter are ignored.
   *
   * @param eventIds - ids of events that `getFailedEvents` lists
   */
  retryEvents(eventIds: string[]): Promise<void>

  /**
   * Begins to deliver.
   *
   * @param handler - is called with each event; the event is handled when its promise resolves
   * @param onError - is told about failures
   */
  start(handler: (event: BusEvent) => Promise<void>, onError: ErrorHandler): void

  /**
   * Starts no further handler, waits for those that run, and resolves when they have ended.
   */
  stop(): Promise<void>
}

/** Options that outboxes share. Each outbox documents which of them it takes and where its defaults differ. */
export interface OutboxConfig {
  /**
   * Failed attempts after which an event becomes a dead letter; an integer of at least 0.
   * @defaultValue 5
   */
  maxRetries?: number
  /**
   * The delay before the first retry, in milliseconds; it doubles with each further one.
   * @defaultValue 1000
   */
  baseBackoffMs?: number
  /**
   * The pause between the end of a poll and the next poll, in milliseconds.
   * @defaultValue 1000
   */
  pollIntervalMs?: number
  /**
   * How many events one poll reads; an integer of at least 1.
   * @defaultValue 50
   */
  batchSize?: number
  /**
   * How long a handler may run before its event counts as abandoned and is delivered again, in milliseconds.
   * @defaultValue 30000
   */
  processingTimeoutMs?: number
  /**
   * The longest pause after polls that failed, in milliseconds.
   * @defaultValue 30000
   */
  maxErrorBackoffMs?: number
}

/** An {@link OutboxConfig} with every default filled in. */
export type ResolvedOutboxConfig = Required<OutboxConfig>
