// The base of publishers: gathers events of the bus into batches and hands these on, a few at a time, with retries.

import { settleBatch } from "./batch-attempts.ts"
import { splitIntoBatches } from "./batch-limits.ts"
import { EventBuffer } from "./event-buffer.ts"
import type { IOutboxEventBus } from "./event-bus.ts"
import type { BatchHandlerOf, EventTypeOf, UntypedEvents } from "./event-map.ts"
import {
  type BatchHandler,
  type ProcessingOptions,
  PUBLISHER_DEFAULTS,
  type PublisherConfig,
  type ResolvedPublisherConfig,
  resolvePublisherConfig,
} from "./publisher.ts"

/**
 * Subscribes to a bus and hands events on in batches.
 *
 * An event counts as handled when the batch it went into has been handled. A batch that fails is retried; of one that fails in part,
 * only the events that failed are. What fails for good is the outbox's to retry, event by event.
 *
 * The buffer fills only as far as the outbox runs handlers at once: one that runs a single handler at a time makes batches of one event.
 *
 * @typeParam TTransaction - the transaction of the bus's outbox
 * @typeParam TEvents - the bus's map from event types to payloads, where it has one
 * @example
 * ```ts
 * class QueuePublisher implements IPublisher {
 *   readonly #publisher: EventPublisher
 *   constructor(bus: IOutboxEventBus, private readonly queue: Queue, config: PublisherConfig = {}) {
 *     // The queue takes ten messages at most, whatever the user configures.
 *     this.#publisher = new EventPublisher(bus, EventPublisher.withOverrides(config, { maxBatchSize: 10 }))
 *   }
 *   subscribe(eventTypes: string[]): void {
 *     this.#publisher.subscribe(eventTypes, (events) => this.queue.sendAll(events))
 *   }
 * }
 * ```
 */
export class EventPublisher<TTransaction = unknown, out TEvents extends object = UntypedEvents> {
  /** How many events fill the buffer by default. */
  static readonly DEFAULT_BUFFER_SIZE: number = PUBLISHER_DEFAULTS.bufferSize
  /** How long the first event of a buffer waits at most by default, in milliseconds. */
  static readonly DEFAULT_BUFFER_TIMEOUT_MS: number = PUBLISHER_DEFAULTS.bufferTimeoutMs
  /** How many batches are under way at once by default. */
  static readonly DEFAULT_CONCURRENCY: number = PUBLISHER_DEFAULTS.concurrency
  /** How often a batch is tried in all by default. */
  static readonly DEFAULT_RETRY_ATTEMPTS: number = PUBLISHER_DEFAULTS.maxAttempts
  /** The delay before the second attempt by default, in milliseconds. */
  static readonly DEFAULT_RETRY_DELAY_MS: number = PUBLISHER_DEFAULTS.initialDelayMs
  /** The longest delay between attempts by default, in milliseconds. */
  static readonly DEFAULT_RETRY_MAX_DELAY_MS: number = PUBLISHER_DEFAULTS.maxDelayMs

  private readonly bus: IOutboxEventBus<TTransaction, TEvents>
  private readonly config: ResolvedPublisherConfig
  /** Batches under way, and those that wait for one of the `concurrency` places. */
  private readonly batches: { readonly waiting: (() => Promise<void>)[]; inFlight: number } = {
    waiting: [],
    inFlight: 0,
  }

  /**
   * @param bus - the bus to subscribe to
   * @param config - the options
   * @throws {@link ConfigurationError} for an option that is not allowed; it names the option, the value and what is allowed
   */
  constructor(bus: IOutboxEventBus<TTransaction, TEvents>, config: PublisherConfig = {}) {
    this.bus = bus
    this.config = resolvePublisherConfig(config)
  }

  /**
   * A config in which some processing options are fixed, such as the largest batch that a service takes.
   *
   * @param config - the user's config; it is not changed
   * @param processing - the options that win over the user's; those that are undefined or null don't
   */
  static withOverrides(config: PublisherConfig, processing: ProcessingOptions): PublisherConfig {
    const fixed = Object.fromEntries(Object.entries(processing).filter(([, value]) => value != null))
    return { ...config, processingConfig: { ...config.processingConfig, ...fixed } }
  }

  /**
   * Subscribes to event types. Each subscription has a buffer of its own; they share the `concurrency`.
   *
   * @param eventTypes - the types
   * @param handler - is called with each batch. If it rejects, the batch is retried; if it returns the events that failed, only these are
   * @throws {@link DuplicateListenerError} if one of the types has a handler on the bus
   */
  subscribe<T extends EventTypeOf<TEvents>>(eventTypes: T[], handler: BatchHandlerOf<TEvents, T>): void {
    const { retry, processing } = this.config
    const buffer = new EventBuffer(processing.bufferSize, processing.bufferTimeoutMs, (buffered) => {
      for (const batch of splitIntoBatches(buffered, processing)) {
        this.batches.waiting.push(() => settleBatch(batch, handler as BatchHandler, retry))
      }
      this.startWaiting()
    })
    this.bus.subscribe(eventTypes, (event) => buffer.add(event))
  }

  private startWaiting(): void {
    while (this.batches.inFlight < this.config.processing.concurrency) {
      const runBatch = this.batches.waiting.shift()
      if (!runBatch) return
      this.batches.inFlight += 1
      void runBatch().then(() => {
        this.batches.inFlight -= 1
        this.startWaiting()
      })
    }
  }
}
