// What a publisher is: something that forwards events to the outside, and the options publishers have in common.

import { checkInteger, checkMilliseconds } from "./number-option.ts"

/** Forwards events of the bus to somewhere outside: a queue, a topic, a webhook. */
export interface IPublisher {
  /**
   * Begins to forward.
   *
   * @param eventTypes - the types of the events to forward
   */
  subscribe(eventTypes: string[]): void
}

/** How a batch that fails is tried again. */
export type RetryOptions = {
  /**
   * How often a batch is tried in all; an integer of at least 1.
   * @defaultValue 3
   */
  maxAttempts?: number
  /**
   * The delay before the second attempt, in milliseconds; it doubles with each further one.
   * @defaultValue 1000
   */
  initialDelayMs?: number
  /**
   * The longest delay, in milliseconds.
   * @defaultValue 10000
   */
  maxDelayMs?: number
}

/** How events are gathered into batches. */
export type ProcessingOptions = {
  /**
   * How many events fill the buffer, which is then flushed; an integer of at least 1.
   * @defaultValue 50
   */
  bufferSize?: number
  /**
   * How long after its first event a buffer is flushed that is not full, in milliseconds.
   * @defaultValue 100
   */
  bufferTimeoutMs?: number
  /**
   * How many batches are under way at once, their retries included; an integer of at least 1.
   * @defaultValue 5
   */
  concurrency?: number
  /**
   * The largest batch; an integer of at least 1. A fuller buffer is split.
   * @defaultValue `bufferSize`
   */
  maxBatchSize?: number
}

/** The options of a publisher. */
export type PublisherConfig = {
  /** How a batch that fails is tried again. */
  retryConfig?: RetryOptions
  /** How events are gathered into batches. */
  processingConfig?: ProcessingOptions
}

/** A {@link PublisherConfig} with every default filled in. */
export type ResolvedPublisherConfig = {
  retry: Required<RetryOptions>
  processing: Required<ProcessingOptions>
}

/**
 * Fills in the defaults.
 *
 * @throws {@link ConfigurationError} for an option that is not allowed; it names the option, the value and what is allowed
 */
export function resolvePublisherConfig(config: PublisherConfig): ResolvedPublisherConfig {
  const { maxAttempts = 3, initialDelayMs = 1000, maxDelayMs = 10_000 } = config.retryConfig ?? {}
  const processing = config.processingConfig ?? {}
  const { bufferSize = 50, bufferTimeoutMs = 100, concurrency = 5, maxBatchSize = bufferSize } = processing
  return {
    retry: {
      maxAttempts: checkInteger("maxAttempts", maxAttempts, 1),
      initialDelayMs: checkMilliseconds("initialDelayMs", initialDelayMs),
      maxDelayMs: checkMilliseconds("maxDelayMs", maxDelayMs),
    },
    processing: {
      bufferSize: checkInteger("bufferSize", bufferSize, 1),
      bufferTimeoutMs: checkMilliseconds("bufferTimeoutMs", bufferTimeoutMs),
      concurrency: checkInteger("concurrency", concurrency, 1),
      maxBatchSize: checkInteger("maxBatchSize", maxBatchSize, 1),
    },
  }
}
