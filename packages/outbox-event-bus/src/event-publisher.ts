// The base of publishers: gathers events of the bus into batches and hands these on, a few at a time, with retries.

import type { BusEvent } from "./event.ts"
import { type BufferedEvent, EventBuffer } from "./event-buffer.ts"
import type { IOutboxEventBus } from "./event-bus.ts"
import { exponentialDelay, timerDelay } from "./number-option.ts"
import {
  type ProcessingOptions,
  PUBLISHER_DEFAULTS,
  type PublisherConfig,
  type ResolvedPublisherConfig,
  resolvePublisherConfig,
} from "./publisher.ts"

/**
 * Subscribes to a bus and hands events on in batches.
 *
 * An event counts as handled when the batch it went into has been handled; when a batch fails for good, the outbox tries each
 * of its events again. So the buffer fills only as far as the outbox runs handlers at once: one that runs a single handler at
 * a time makes batches of one event.
 *
 * @typeParam TTransaction - the transaction of the bus's outbox
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
export class EventPublisher<TTransaction = unknown> {
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

  private readonly bus: IOutboxEventBus<TTransaction>
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
  constructor(bus: IOutboxEventBus<TTransaction>, config: PublisherConfig = {}) {
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
   * @param handler - is called with each batch; if it rejects, the batch is tried again
   * @throws {@link DuplicateListenerError} if one of the types has a handler on the bus
   */
  subscribe(eventTypes: string[], handler: (events: BusEvent[]) => Promise<void>): void {
    const { bufferSize, bufferTimeoutMs, maxBatchSize } = this.config.processing
    const buffer = new EventBuffer(bufferSize, bufferTimeoutMs, (buffered) => {
      for (let start = 0; start < buffered.length; start += maxBatchSize) {
        const batch = buffered.slice(start, start + maxBatchSize)
        this.batches.waiting.push(() => this.settle(batch, handler))
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

  /** Gives each event of a batch the batch's outcome. Never rejects. */
  private async settle(
    batch: BufferedEvent[],
    handler: (events: BusEvent[]) => Promise<void>,
  ): Promise<void> {
    try {
      await this.tryRepeatedly(() => handler(batch.map(({ event }) => event)))
      for (const { resolve } of batch) resolve()
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }

  private async tryRepeatedly(attempt: () => Promise<void>): Promise<void> {
    const { maxAttempts, initialDelayMs, maxDelayMs } = this.config.retry
    for (let failedAttempts = 1; ; failedAttempts += 1) {
      try {
        return await attempt()
      } catch (error) {
        if (failedAttempts >= maxAttempts) throw error
      }
      const delayMs = Math.min(exponentialDelay(initialDelayMs, failedAttempts - 1), maxDelayMs)
      await new Promise((resolve) => setTimeout(resolve, timerDelay(delayMs)))
    }
  }
}
