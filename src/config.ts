/**
 * The options of the outbox: their meaning, defaults and limits. They are checked and completed once, here; the
 * rest of the code sees a {@link ResolvedConfig} only.
 */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { ConfigurationError, type OutboxConfig } from "outbox-event-bus"
import type { DynamoDBAwsSdkTransactionCollector } from "./collector.ts"

/** Options of {@link DynamoDBAwsSdkOutbox}. Counts are whole numbers; times are milliseconds. */
export interface DynamoDBAwsSdkOutboxConfig extends OutboxConfig {
  /** The client every request is sent with. Its retries, timeouts and credentials are yours to set. */
  client: DynamoDBClient
  /** Name or ARN of the outbox table. */
  tableName: string
  /**
   * Name of the index with partition key `status` and sort key `gsiSortKey`. Projection `KEYS_ONLY` is enough.
   * @default "status-gsiSortKey-index"
   */
  statusIndexName?: string
  /**
   * How long a handler may take before its event counts as abandoned and is retried by any worker.
   * Milliseconds, 1 to 2147483647. Keep it above the longest handler plus four times the clock difference between
   * workers: before a lease is renewed, a quarter of it may be all that is left.
   * @default 30000
   */
  processingTimeoutMs?: number
  /**
   * How many handlers run at once. With 1, one worker hands events over strictly in the order of their due time.
   * Batching publishers need many. Whole number, at least 1.
   * @default 1
   */
  concurrency?: number
  /**
   * Rows read from the index at a time; never more than this are claimed ahead. Whole number, 1 to 1000.
   * @default 50
   */
  batchSize?: number
  /**
   * Pause after a poll that has found no more work. Milliseconds, 0 to 2147483647.
   * @default 1000
   */
  pollIntervalMs?: number
  /**
   * How many times a handler is run for an event before the event is set to `failed`. Whole number or Infinity;
   * 0 means 1.
   * @default 5
   */
  maxRetries?: number
  /**
   * Delay before the first retry; it doubles with every further one, give or take 10 %. Milliseconds, 0 to 2147483647.
   * @default 1000
   */
  baseBackoffMs?: number
  /**
   * Longest pause between polls while polling fails. Milliseconds, 0 to 2147483647.
   * @default 30000
   */
  maxErrorBackoffMs?: number
  /**
   * Finds the collector of the current transaction when `publish` is not given one, for example
   * {@link getDynamoDBAwsSdkCollector}`()`.
   * @default none: without an explicit collector, events are written in a transaction of their own
   */
  getCollector?: () => DynamoDBAwsSdkTransactionCollector | undefined
}

/** Every option with its value. */
export type ResolvedConfig = Required<Omit<DynamoDBAwsSdkOutboxConfig, "getCollector">> &
  Pick<DynamoDBAwsSdkOutboxConfig, "getCollector">

/** Longest delay that timers of Node keep; also the longest backoff between two attempts (24.8 days). */
export const MAX_DELAY_MS = 2 ** 31 - 1

const count = (fallback: number, minimum: number, maximum: number) => ({
  fallback,
  allowed: `a whole number from ${minimum} to ${maximum}`,
  isAllowed: (value: number) => Number.isInteger(value) && value >= minimum && value <= maximum,
})

const milliseconds = (fallback: number, minimum: number) => ({
  fallback,
  allowed: `a number of milliseconds from ${minimum} to ${MAX_DELAY_MS}`,
  isAllowed: (value: number) => value >= minimum && value <= MAX_DELAY_MS,
})

const NUMBERS = {
  batchSize: count(50, 1, 1000),
  concurrency: count(1, 1, 10_000),
  maxRetries: {
    fallback: 5,
    allowed: "a whole number of at least 0, or Infinity",
    isAllowed: (value: number) =>
      value >= 0 && (Number.isInteger(value) || value === Number.POSITIVE_INFINITY),
  },
  pollIntervalMs: milliseconds(1000, 0),
  baseBackoffMs: milliseconds(1000, 0),
  maxErrorBackoffMs: milliseconds(30_000, 0),
  processingTimeoutMs: milliseconds(30_000, 1),
}

type NumberOption = keyof typeof NUMBERS

const DEFAULT_INDEX_NAME = "status-gsiSortKey-index"

/**
 * Checks the options and fills in the defaults.
 * @throws {ConfigurationError} that names the option, its value and what is allowed.
 */
export function resolveConfig(config: DynamoDBAwsSdkOutboxConfig): ResolvedConfig {
  if (typeof config !== "object" || config === null) {
    refuse("config", config, "an object with at least client and tableName")
  }
  // Whether it can send is seen when the document client is made: where tests replace that, it need not.
  const { client } = config
  if (client === null || (typeof client !== "object" && typeof client !== "function")) {
    refuse("client", client, "a DynamoDBClient")
  }
  const { getCollector, statusIndexName = DEFAULT_INDEX_NAME } = config
  if (getCollector !== undefined && typeof getCollector !== "function") {
    refuse("getCollector", getCollector, "a function that returns a collector or undefined")
  }
  return {
    client,
    tableName: nameOption("tableName", config.tableName),
    statusIndexName: nameOption("statusIndexName", statusIndexName),
    batchSize: numberOption("batchSize", config.batchSize),
    concurrency: numberOption("concurrency", config.concurrency),
    maxRetries: numberOption("maxRetries", config.maxRetries),
    pollIntervalMs: numberOption("pollIntervalMs", config.pollIntervalMs),
    baseBackoffMs: numberOption("baseBackoffMs", config.baseBackoffMs),
    maxErrorBackoffMs: numberOption("maxErrorBackoffMs", config.maxErrorBackoffMs),
    processingTimeoutMs: numberOption("processingTimeoutMs", config.processingTimeoutMs),
    ...(getCollector && { getCollector }),
  }
}

function numberOption(name: NumberOption, value: number | undefined): number {
  const { fallback, allowed, isAllowed } = NUMBERS[name]
  if (value === undefined) return fallback
  if (typeof value !== "number" || !isAllowed(value)) refuse(name, value, allowed)
  return value
}

function nameOption(name: "tableName" | "statusIndexName", value: string): string {
  // Besides names, tableName takes ARNs, which have colons and slashes.
  if (typeof value !== "string" || !/^[\w.:/-]+$/.test(value)) {
    refuse(name, value, "a non-empty name of letters, digits, '_', '-' and '.' (for the table also an ARN)")
  }
  return value
}

/** @throws {ConfigurationError} that names the option, its value and what is allowed. */
export function refuse(option: string, value: unknown, allowed: string): never {
  const shown = typeof value === "string" ? JSON.stringify(value) : describe(value)
  throw new ConfigurationError(`Invalid option ${option}: ${shown}. Allowed: ${allowed}.`)
}

function describe(value: unknown): string {
  return typeof value === "object" && value !== null ? "an object" : String(value)
}
