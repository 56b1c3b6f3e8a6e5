/**
 * Sends a transaction until its outcome is known. Every try carries the same token and the same items, so that one which
 * was carried out although its response got lost is not carried out again (DynamoDB remembers a token for ten minutes).
 */
import { randomUUID } from "node:crypto"
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { type DynamoDBDocumentClient, TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import { OperationalError } from "outbox-event-bus"
import { refuse } from "../config.ts"
import { sharedDocumentClient } from "../database/document-client.ts"
import { isNamed, wrongTable } from "../database/dynamodb-errors.ts"
import { RequestDeadline } from "../database/request-deadline.ts"
import { MAX_DELAY_MS } from "../process/background-timer.ts"
import { canceledError, codesOf, type SentTransaction } from "./canceled.ts"
import type { TransactWriteItem } from "./collector.ts"
import { TransactionOutcomeUnknownError } from "./transaction-errors.ts"

/** How {@link withDynamoDBAwsSdkTransaction} sends what was collected. */
export interface CommitOptions {
  /**
   * The client to send with. Items are marshalled by the options of the document client that you have made of it, or that you
   * pass: the same as if you had sent them yourself.
   */
  client: DynamoDBClient | DynamoDBDocumentClient
  /**
   * Makes the transaction idempotent for ten minutes: sent again with the same token and the same items, it is stored once. From
   * 1 to 36 characters.
   * @default a new one for each transaction
   */
  clientRequestToken?: string | undefined
  /**
   * For how long to retry after a conflict with another transaction, throttling, or a response that did not come.
   * Milliseconds, at least 0: the first try is made in any case. More than nine minutes count as nine, since DynamoDB recognises a
   * transaction that it has carried out for ten.
   * @default 10000
   */
  retryForMs?: number | undefined
}

const DEFAULT_RETRY_MS = 10_000
/** DynamoDB forgets a token after ten minutes; a try after that would be another transaction. */
const LONGEST_RETRY_MS = 9 * 60_000
/** A connection that hangs must leave time for another try. */
const RESPONSE_MS = 5000
/** Before the n-th retry, up to `first · 2^n`: all of it at random, since those that collided would collide again. */
const PAUSE_MS = { first: 20, longest: 500 }

/** Nothing of the transaction was stored, and the same may succeed in a moment. */
const PASSING_CODES = new Set([
  "TransactionConflict",
  "ThrottlingError",
  "ProvisionedThroughputExceeded",
  "RequestLimitExceeded",
])
/** The same of a request as a whole. */
const PASSING_ERRORS = [
  "ThrottlingException",
  "ProvisionedThroughputExceededException",
  "RequestLimitExceeded",
  "TransactionConflictException",
]

export class Commit {
  private readonly token: string
  private readonly retryForMs: number
  private readonly client: DynamoDBDocumentClient
  /** The caller has chosen the token. */
  readonly hasOwnToken: boolean

  /** @throws {ConfigurationError} for an option that is not allowed. */
  constructor({ client, clientRequestToken, retryForMs = DEFAULT_RETRY_MS }: CommitOptions) {
    if (typeof client?.send !== "function")
      refuse("client", client, "a DynamoDBClient or DynamoDBDocumentClient")
    if (clientRequestToken !== undefined && !isToken(clientRequestToken)) {
      refuse("clientRequestToken", clientRequestToken, "a string of 1 to 36 characters")
    }
    if (typeof retryForMs !== "number" || !(retryForMs >= 0)) {
      refuse("retryForMs", retryForMs, "a number of milliseconds of at least 0, or Infinity")
    }
    this.client = sharedDocumentClient(client)
    this.hasOwnToken = clientRequestToken !== undefined
    this.token = clientRequestToken ?? randomUUID()
    this.retryForMs = Math.min(retryForMs, LONGEST_RETRY_MS)
  }

  /**
   * @param items - At least one, at most 100.
   * @param eventIds - The ids of those items that are events.
   * @param isRead - Somebody has read the items, and may have sent them.
   * @throws {TransactionCanceledError} when DynamoDB has refused it.
   * @throws {TransactionOutcomeUnknownError} when no response has come within the bound.
   * @throws {ConfigurationError} for an outbox table that can't be one.
   */
  async send(
    items: readonly TransactWriteItem[],
    eventIds: ReadonlyMap<TransactWriteItem, string>,
    isRead = false,
  ): Promise<void> {
    // A client need not have a socket that keeps the process alive, in tests.
    const keepAlive = setInterval(() => {}, MAX_DELAY_MS)
    try {
      await this.sendUntilKnown({ items, eventIds, isRead })
    } finally {
      clearInterval(keepAlive)
    }
  }

  private async sendUntilKnown(sent: SentTransaction): Promise<void> {
    const endsAt = performance.now() + this.retryForMs
    const deadline = new RequestDeadline(MAX_DELAY_MS)
    const input = { TransactItems: [...sent.items], ClientRequestToken: this.token }
    let mayBeStored = false
    for (let tries = 0; ; tries++) {
      try {
        const leftMs = tries === 0 ? RESPONSE_MS : endsAt - performance.now()
        const limitMs = Math.max(PAUSE_MS.longest, Math.min(RESPONSE_MS, leftMs))
        const command = new TransactWriteCommand(input)
        await deadline.within((options) => this.client.send(command, options), limitMs)
        return
      } catch (error) {
        const outcome = outcomeOf(error)
        const isCanceled = isNamed(error, "TransactionCanceledException")
        if (outcome === "refused") {
          throw mayBeStored && !isCanceled
            ? new TransactionOutcomeUnknownError(this.token, error)
            : readable(error, sent)
        }
        // Had an earlier try been carried out, DynamoDB would recognise the token rather than cancel.
        if (isCanceled) mayBeStored = false
        mayBeStored ||= outcome === "unknown"
        const pauseMs = Math.random() * Math.min(PAUSE_MS.longest, PAUSE_MS.first * 2 ** tries)
        if (performance.now() + pauseMs >= endsAt) throw this.givenUp(error, mayBeStored, sent)
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
    }
  }

  private givenUp(error: unknown, mayBeStored: boolean, sent: SentTransaction): Error {
    if (mayBeStored) return new TransactionOutcomeUnknownError(this.token, error)
    if (isNamed(error, "TransactionCanceledException")) return canceledError(error, sent)
    const waited = `within ${this.retryForMs} ms (retryForMs)`
    return new OperationalError(
      `DynamoDB did not accept the transaction ${waited}; nothing of it is stored`,
      {
        cause: error,
      },
    )
  }
}

function isToken(token: unknown): boolean {
  return typeof token === "string" && token.length >= 1 && token.length <= 36
}

/**
 * "refused": nothing was stored, and the same would be refused again. "passing": nothing was stored, but the same may be. "unknown":
 * it may be stored, or may still come to be.
 */
type Outcome = "refused" | "passing" | "unknown"

function outcomeOf(error: unknown): Outcome {
  if (isNamed(error, "TransactionCanceledException")) {
    const codes = codesOf(error)
    return codes.length > 0 && codes.every((code) => PASSING_CODES.has(code)) ? "passing" : "refused"
  }
  // An earlier try is still being carried out.
  if (isNamed(error, "TransactionInProgressException")) return "unknown"
  if (PASSING_ERRORS.some((name) => isNamed(error, name))) return "passing"
  return hasNoResponse(error) ? "unknown" : "refused"
}

/** It was sent, but what came back is no answer of DynamoDB's to it. */
function hasNoResponse(error: unknown): boolean {
  const { $metadata, $fault, code, name } = Object(error) as {
    $metadata?: { httpStatusCode?: number; attempts?: number }
    $fault?: unknown
    code?: unknown
    name?: unknown
  }
  // The credentials or the region are missing, so that nothing can be sent.
  if (name === "CredentialsProviderError") return false
  const status = $metadata?.httpStatusCode
  if (status !== undefined) {
    // Only DynamoDB's own refusals are named by it; a broken body or an intermediary's page may hide a success.
    const isRefusal = $fault === "client" || (typeof name === "string" && name.endsWith("Exception"))
    return !isRefusal || status < 400 || status >= 500
  }
  if (name === "TimeoutError" || name === "AbortError") return true
  // The SDK counts attempts of what it has sent; the codes are those of Node's sockets.
  return $metadata?.attempts !== undefined || (typeof code === "string" && /^E[A-Z]+$/.test(code))
}

function readable(error: unknown, sent: SentTransaction): unknown {
  const { items, eventIds } = sent
  const eventAt = items.findIndex((item) => eventIds.has(item))
  const eventTable = items[eventAt]?.Put?.TableName
  const wrong = eventTable === undefined ? undefined : wrongTable(error, eventTable, eventAt)
  if (wrong) return wrong
  return isNamed(error, "TransactionCanceledException") ? canceledError(error, sent) : error
}
