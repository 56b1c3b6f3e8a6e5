// What a publisher is: something that forwards events to the outside, and the options publishers have in common.

import { jsonBytes } from "./batch-limits.ts"
import { ConfigurationError } from "./errors.ts"
import type { BusEvent } from "./event.ts"
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

/** How a batch that fails is retried. */
export type RetryOptions = {
  /**
   * How often a batch is tried in all; an integer of at least 1, or `Infinity`.
   * @defaultValue 3
   */
  maxAttempts?: number
  /**
   * The delay before the second attempt, in milliseconds; it doubles with each further one.
   * @defaultValue 1000
   */
  initialDelayMs?: number
  /**
   * The longest delay, in milliseconds; `Infinity` for no limit.
   * @defaultValue 10000
   */
  maxDelayMs?: number
}

/** How events are gathered into batches. */
export type ProcessingOptions = {
  /**
   * How many events fill the buffer, which is then flushed; an integer of at least 1, or `Infinity`: time alone flushes it.
   * @defaultValue 50
   */
  bufferSize?: number
  /**
   * How long after its first event a buffer is flushed that is not full, in milliseconds.
   * @defaultValue 100
   */
  bufferTimeoutMs?: number
  /**
   * How many batches are under way at once, their retries included; an integer of at least 1, or `Infinity`.
   * @defaultValue 5
   */
  concurrency?: number
  /**
   * The largest batch; an integer of at least 1, or `Infinity`. A fuller buffer is split.
   * @defaultValue `bufferSize`
   */
  maxBatchSize?: number
  /**
   * The most bytes in a batch, as the sum of what `sizeOf` says of its events; an integer of at least 1, or `Infinity`. A larger buffer
   * is split. An event that is larger by itself is handed over as a batch of one.
   * @defaultValue `Infinity`
   */
  maxBatchBytes?: number
  /**
   * Measures an event for `maxBatchBytes`: what it takes in the message that the handler sends, in bytes. An event for which it throws
   * fails, and is in no batch.
   * @defaultValue the length of `JSON.stringify(event)` in UTF-8
   */
  sizeOf?: (event: BusEvent) => number
}

/** What a {@link BatchHandler} may return: which events of its batch failed. All others have been handled. */
export type BatchOutcome = {
  /** The failed events, by id, each with what it failed with. Empty if none did. */
  failed: readonly { readonly id: string; readonly error?: unknown }[]
}

/**
 * Handles a batch. If it rejects, the whole batch has failed. If it returns a {@link BatchOutcome}, only the events named there have; if
 * it returns nothing, none has.
 */
export type BatchHandler = (events: BusEvent[]) => Promise<void> | Promise<BatchOutcome | undefined>

/** The options of a publisher. */
export type PublisherConfig = {
  /** How a batch that fails is retried. */
  retryConfig?: RetryOptions
  /** How events are gathered into batches. */
  processingConfig?: ProcessingOptions
}

/** A {@link PublisherConfig} with every default filled in. */
export type ResolvedPublisherConfig = {
  retry: Required<RetryOptions>
  processing: Required<ProcessingOptions>
}

/** What the options of publishers are unless they are given. */
export const PUBLISHER_DEFAULTS = {
  bufferSize: 50,
  bufferTimeoutMs: 100,
  concurrency: 5,
  maxAttempts: 3,
  initialDelayMs: 1000,
  maxDelayMs: 10_000,
} as const

/**
 * Fills in the defaults, also for options that are `null`.
 *
 * @throws {@link ConfigurationError} for an option that is not allowed; it names the option, the value and what is allowed
 */
export function resolvePublisherConfig(config: PublisherConfig | null | undefined): ResolvedPublisherConfig {
  const given = { ...config?.retryConfig, ...config?.processingConfig }
  const integer = (option: "maxAttempts" | "bufferSize" | "concurrency") =>
    checkInteger(option, given[option] ?? PUBLISHER_DEFAULTS[option], 1)
  const milliseconds = (option: "initialDelayMs" | "maxDelayMs" | "bufferTimeoutMs") =>
    checkMilliseconds(option, given[option] ?? PUBLISHER_DEFAULTS[option])
  const bufferSize = integer("bufferSize")
  return {
    retry: {
      maxAttempts: integer("maxAttempts"),
      initialDelayMs: milliseconds("initialDelayMs"),
      maxDelayMs: milliseconds("maxDelayMs"),
    },
    processing: {
      bufferSize,
      bufferTimeoutMs: milliseconds("bufferTimeoutMs"),
      concurrency: integer("concurrency"),
      maxBatchSize: checkInteger("maxBatchSize", given.maxBatchSize ?? bufferSize, 1),
      maxBatchBytes: checkInteger("maxBatchBytes", given.maxBatchBytes ?? Infinity, 1),
      sizeOf: checkSizeOf(given.sizeOf ?? jsonBytes),
    },
  }
}

function checkSizeOf(sizeOf: (event: BusEvent) => number): (event: BusEvent) => number {
  if (typeof sizeOf === "function") return sizeOf
  const allowed = "a function from an event to its bytes"
  throw new ConfigurationError(`Invalid sizeOf: ${String(sizeOf)}. Allowed: ${allowed}.`, {
    option: "sizeOf",
    value: sizeOf,
    allowed,
  })
}
