/**
 * The options of the outbox: their meaning, defaults and limits. They are checked and completed once, here; the
 * rest of the code sees a {@link ResolvedConfig} only.
 */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { ConfigurationError, type OutboxConfig } from "outbox-event-bus"
import { MAX_DELAY_MS } from "./process/background-timer.ts"
import { described, quoted } from "./process/shown.ts"
import { warnOnce } from "./process/warnings.ts"
import type { Retention } from "./state/transitions.ts"
import type { DynamoDBAwsSdkTransactionCollector } from "./transaction/collector.ts"
import { getDynamoDBAwsSdkCollector } from "./transaction-storage.ts"

/** When DynamoDB may delete a delivered event, by the TTL of the table. */
export interface Expiry {
  /** How many days after its completion. Above 0, fractions are allowed; DynamoDB deletes within a few days after that. */
  expireAfterDays: number
  /**
   * The attribute that the table's TTL looks at. It gets epoch seconds, and only at the completion.
   * @default "expiresAt"
   */
  attribute?: string | undefined
}

/** What becomes of delivered events. */
export type CompletedEvents = "keep" | "delete" | Expiry

/** Every option may be given as undefined: code that passes its own optional settings on compiles in any strictness. */
type OrUndefined<T> = { [Option in keyof T]?: T[Option] | undefined }

/**
 * Options of {@link DynamoDBAwsSdkOutbox}. Counts are whole numbers; times are milliseconds. `undefined` and `null`
 * mean the default. Times longer than Node's timers support count as 2147483647 (24.8 days).
 */
export interface DynamoDBAwsSdkOutboxConfig extends OrUndefined<OutboxConfig> {
  /** The client every request is sent with. Its retries, timeouts and credentials are yours to set. */
  client: DynamoDBClient
  /**
   * Name or ARN of the outbox table. May be missing when the outbox is made, as `process.env.TABLE` is where a unit test
   * loads a module: the first method that needs the table refuses it then.
   */
  tableName: string
  /**
   * Name of the index with partition key `status` and sort key `gsiSortKey`. Projection `KEYS_ONLY` is enough.
   * @default "status-gsiSortKey-index"
   */
  statusIndexName?: string | undefined
  /**
   * How long a handler may take before its event counts as abandoned and is retried by any worker.
   * Milliseconds, above 0. Keep it above the longest handler plus twice the clock difference between
   * workers: a handler starts with at least half of a lease left. Less than 1000 causes a process warning.
   * @default 30000
   */
  processingTimeoutMs?: number | undefined
  /**
   * How many handlers run at once. With 1, one worker hands events over strictly in the order of their due time.
   * Batching publishers need many. Whole number, at least 1.
   * @default 1
   */
  concurrency?: number | undefined
  /**
   * Rows read from the index at a time; never more than this are claimed ahead. Whole number of at least 1, or Infinity;
   * above 1000, it counts as 1000.
   * @default 50
   */
  batchSize?: number | undefined
  /**
   * Pause after a poll that has found no more work. Milliseconds, at least 0, or Infinity.
   * @default 1000
   */
  pollIntervalMs?: number | undefined
  /**
   * How many times a handler is run for an event before the event is set to `failed`. Whole number or Infinity;
   * 0 means 1.
   * @default 5
   */
  maxRetries?: number | undefined
  /**
   * Delay before the first retry; it doubles with every further one, give or take 10 %. Milliseconds, at least
   * 0, or Infinity.
   * @default 1000
   */
  baseBackoffMs?: number | undefined
  /**
   * Longest delay between two attempts of an event. Without it the delay doubles with every attempt, so after an outage of
   * hours the next attempt may be hours away. Milliseconds, at least 0, or Infinity.
   * @default Infinity: no limit but that of 24.8 days
   */
  maxBackoffMs?: number | undefined
  /**
   * Longest pause between polls while polling fails. Milliseconds, at least 0, or Infinity.
   * @default 30000
   */
  maxErrorBackoffMs?: number | undefined
  /**
   * What becomes of events whose handler has succeeded. `"keep"`: they stay in the table. `"delete"`: they are deleted. An
   * {@link Expiry}: DynamoDB deletes them by its TTL after a while. Dead letters, and whatever else is not delivered, always stay.
   * While an event is in the table, its id can't be published again.
   * @default "keep"
   */
  completedEvents?: CompletedEvents | undefined
  /**
   * Whether `start()` runs a poll loop. With `false` it only hands over the handlers, and
   * `drain()` delivers when it is called: for Lambda functions and scheduled jobs.
   * @default true
   */
  polling?: boolean | undefined
  /**
   * Finds the collector of the current transaction when `publish` is not given one, for example
   * {@link getDynamoDBAwsSdkCollector}`()`.
   * @default none: without an explicit collector, events are written in a transaction of their own
   */
  getCollector?: (() => DynamoDBAwsSdkTransactionCollector | undefined) | undefined
}

type Given<T> = { [Option in keyof T]-?: Exclude<T[Option], undefined> }

/** Every option with its value. */
export type ResolvedConfig = Given<Omit<DynamoDBAwsSdkOutboxConfig, "getCollector" | "completedEvents">> & {
  completedEvents: Retention
  getCollector?: () => DynamoDBAwsSdkTransactionCollector | undefined
}

/** A larger page holds more than DynamoDB's response limit of 1 MB, or more rows than a poll gets to. */
const MAX_BATCH_SIZE = 1000

interface NumberRule {
  fallback: number
  allowed: string
  isAllowed(value: number): boolean
  /** What a larger value counts as. */
  most?: number
}

const milliseconds = (fallback: number): NumberRule => ({
  fallback,
  allowed: "a number of milliseconds of at least 0, or Infinity",
  isAllowed: (value) => value >= 0,
  most: MAX_DELAY_MS,
})

const isWhole = (value: number) => Number.isInteger(value) || value === Number.POSITIVE_INFINITY

const NUMBERS = {
  batchSize: {
    fallback: 50,
    allowed: "a whole number of at least 1, or Infinity",
    isAllowed: (value) => isWhole(value) && value >= 1,
    most: MAX_BATCH_SIZE,
  },
  concurrency: {
    fallback: 1,
    allowed: "a whole number from 1 to 10000",
    isAllowed: (value) => Number.isInteger(value) && value >= 1 && value <= 10_000,
  },
  maxRetries: {
    fallback: 5,
    allowed: "a whole number of at least 0, or Infinity",
    isAllowed: (value) => isWhole(value) && value >= 0,
  },
  pollIntervalMs: milliseconds(1000),
  baseBackoffMs: milliseconds(1000),
  maxBackoffMs: milliseconds(MAX_DELAY_MS),
  maxErrorBackoffMs: milliseconds(30_000),
  processingTimeoutMs: {
    fallback: 30_000,
    // A lease without end would keep the events of a dead worker for ever.
    allowed: "a finite number of milliseconds above 0",
    isAllowed: (value) => value > 0 && Number.isFinite(value),
    most: MAX_DELAY_MS,
  },
} satisfies Record<string, NumberRule>

type NumberOption = keyof typeof NUMBERS

/** The original's. */
export const DEFAULT_INDEX_NAME = "status-gsiSortKey-index"
const NAMES = "a non-empty name of letters, digits, '_', '-' and '.' (for the table also an ARN)"
const KNOWN_OPTIONS = new Set([
  "client",
  "tableName",
  "statusIndexName",
  "getCollector",
  "polling",
  "completedEvents",
  ...Object.keys(NUMBERS),
])

/**
 * Checks the options and fills in the defaults.
 * @returns every option with its value; reading `tableName` where none was given throws the same error.
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
  const tableName = config.tableName ?? undefined
  if (tableName !== undefined) nameOption("tableName", tableName)
  const getCollector = config.getCollector ?? undefined
  if (getCollector !== undefined && typeof getCollector !== "function") {
    refuse("getCollector", getCollector, "a function that returns a collector or undefined")
  }
  if (getCollector === (getDynamoDBAwsSdkCollector as unknown)) {
    throw new ConfigurationError(
      "Invalid option getCollector: getDynamoDBAwsSdkCollector itself. Call it: getCollector: getDynamoDBAwsSdkCollector().",
    )
  }
  const polling = config.polling ?? true
  if (typeof polling !== "boolean") refuse("polling", polling, "true or false")
  warnOfUnknownOptions(config)
  const processingTimeoutMs = numberOption("processingTimeoutMs", config.processingTimeoutMs)
  warnOfShortTimeout(processingTimeoutMs)
  return {
    client,
    get tableName() {
      return tableName ?? refuse("tableName", tableName, NAMES)
    },
    statusIndexName: nameOption("statusIndexName", config.statusIndexName ?? DEFAULT_INDEX_NAME),
    batchSize: numberOption("batchSize", config.batchSize),
    concurrency: numberOption("concurrency", config.concurrency),
    maxRetries: numberOption("maxRetries", config.maxRetries),
    pollIntervalMs: numberOption("pollIntervalMs", config.pollIntervalMs),
    baseBackoffMs: numberOption("baseBackoffMs", config.baseBackoffMs),
    maxBackoffMs: numberOption("maxBackoffMs", config.maxBackoffMs),
    maxErrorBackoffMs: numberOption("maxErrorBackoffMs", config.maxErrorBackoffMs),
    processingTimeoutMs,
    polling,
    completedEvents: retentionOption(config.completedEvents),
    ...(getCollector && { getCollector }),
  }
}

function numberOption(name: NumberOption, value: number | null | undefined): number {
  const { fallback, allowed, isAllowed, most = Number.POSITIVE_INFINITY }: NumberRule = NUMBERS[name]
  if (value === undefined || value === null) return fallback
  if (typeof value !== "number" || !isAllowed(value)) refuse(name, value, allowed)
  return Math.min(value, most)
}

function nameOption(name: "tableName" | "statusIndexName", value: string): string {
  // Besides names, tableName takes ARNs, which have colons and slashes.
  if (typeof value !== "string" || !/^[\w.:/-]+$/.test(value)) refuse(name, value, NAMES)
  return value
}

/** Attributes that mean something else: a TTL on one of them would delete events at once, or never. */
const OWN_ATTRIBUTES = new Set([
  ..."id type payload hasPayload occurredAt metadata status retryCount gsiSortKey claimToken startedOn".split(
    " ",
  ),
  ..."completedOn nextRetryAt crashCount lastError discardedOn discardReason".split(" "),
])

function retentionOption(value: CompletedEvents | null | undefined): Retention {
  if (value === undefined || value === null || value === "keep") return { kind: "keep" }
  if (value === "delete") return { kind: "delete" }
  if (typeof value !== "object") {
    refuse("completedEvents", value, '"keep", "delete", or an object such as { expireAfterDays: 30 }')
  }
  const { expireAfterDays, attribute = "expiresAt" } = value
  if (typeof expireAfterDays !== "number" || !(expireAfterDays > 0 && expireAfterDays <= MAX_DAYS)) {
    refuse(
      "completedEvents.expireAfterDays",
      expireAfterDays,
      `a number of days above 0, at most ${MAX_DAYS}`,
    )
  }
  if (typeof attribute !== "string" || attribute === "" || OWN_ATTRIBUTES.has(attribute)) {
    refuse("completedEvents.attribute", attribute, "a name that is none of the outbox's own attributes")
  }
  return { kind: "expire", afterMs: expireAfterDays * DAY_MS, attribute }
}

const DAY_MS = 86_400_000
/** A century. DynamoDB's own limit is not documented; that of a date in JavaScript is further away. */
const MAX_DAYS = 36_500

/** Configurations are often shared and spread, so an option that nobody reads may be a slip, or somebody else's. */
function warnOfUnknownOptions(config: object): void {
  for (const option of Object.keys(config)) {
    if (KNOWN_OPTIONS.has(option)) continue
    warnOnce(
      "OUTBOX_UNKNOWN_OPTION",
      `DynamoDBAwsSdkOutbox has no option ${quoted(option)}; it is ignored. Options: ${[...KNOWN_OPTIONS].join(", ")}.`,
    )
  }
}

const SHORT_TIMEOUT_MS = 1000

/** Tests run with a tenth of a second; in production, the pauses of a process alone are longer now and then. */
function warnOfShortTimeout(processingTimeoutMs: number): void {
  if (processingTimeoutMs >= SHORT_TIMEOUT_MS) return
  warnOnce(
    "OUTBOX_SHORT_PROCESSING_TIMEOUT",
    `processingTimeoutMs: ${processingTimeoutMs} leaves little time for handlers and for the requests to DynamoDB: ` +
      `events may be delivered twice, or not at all. Use less than ${SHORT_TIMEOUT_MS} in tests only.`,
    "OUTBOX_SHORT_PROCESSING_TIMEOUT",
  )
}

/** @throws {ConfigurationError} that names the option, its value and what is allowed. */
export function refuse(option: string, value: unknown, allowed: string): never {
  throw new ConfigurationError(`Invalid option ${option}: ${described(value)}. Allowed: ${allowed}.`)
}
