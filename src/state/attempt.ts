/** One attempt at an event: the lease it begins with, and what its failure makes of the event: a retry, or a dead letter. */
import { randomUUID } from "node:crypto"
import { type BusEvent, EventStatus } from "outbox-event-bus"
import { type Item, toFailedEvent } from "../item/event-item.ts"
import { numberOf } from "../item/stored-value.ts"
import { MAX_DELAY_MS } from "../process/background-timer.ts"
import { errorText } from "../process/error-text.ts"
import type { Row } from "./status-index.ts"
import type { FailedAttempt, Lease } from "./transitions.ts"

/** The error of an attempt whose lease expired. What marks the event is its `crashCount`: a handler may throw the same text. */
export const PROCESSING_TIMEOUT = "Processing timeout"

/**
 * How a bus tells the outbox that an event should go back uncounted: the error has this property, set to `true`. An outbox that
 * understands it has the property itself. A registered symbol, so that any implementation of the core can use it.
 */
export const RELEASE = Symbol.for("outbox-event-bus/release")

export function asksForRelease(error: unknown): boolean {
  try {
    return (error as { [RELEASE]?: unknown } | null | undefined)?.[RELEASE] === true
  } catch {
    // A revoked proxy, say: an error like any other.
    return false
  }
}

/** Where retries come at once, events that nobody can handle now still pause: they are not counted, so they would circle for ever. */
export const MIN_RELEASE_PAUSE_MS = 100

/** What the table says of an event's past, and of its future: whether it may crash its worker. */
export interface Marks {
  /** How often its worker crashed, or its handler exceeded the timeout, since it last ended by itself. */
  readonly crashCount: number
  /** Should this attempt fail, the event becomes a dead letter. */
  readonly isLastAttempt: boolean
  /** At most two attempts are left, this one included. */
  readonly hasFewAttempts: boolean
}

export function marksOf({ retryCount, crashCount }: Item, maxRetries: number): Marks {
  const left = maxRetries - (numberOf(retryCount) ?? 0)
  return { crashCount: numberOf(crashCount) ?? 0, isLastAttempt: left <= 1, hasFewAttempts: left <= 2 }
}

/** What a worker asks for when it claims a row: due when the row was, with a token of its own. */
export function newLease(row: Row, now: number, leaseMs: number): Lease {
  return {
    id: row.id,
    token: randomUUID(),
    leaseEndsAt: Math.ceil(now + leaseMs),
    dueAt: numberOf(row.gsiSortKey) ?? now,
  }
}

/** An attempt that failed, before it is decided what becomes of the event. */
export interface Failure {
  error: unknown
  /** Attempts before this one. */
  retryCount: number
  /** When the event was due: the next due time is a later one, so that the index row is another. */
  dueAt: number
  occurredAt: BusEvent["occurredAt"]
}

/**
 * @param maxRetries - Attempts after which an event is a dead letter.
 * @param calculateBackoff - Milliseconds to wait after the n-th attempt.
 */
export function failedAttempt(
  { error, retryCount, dueAt, occurredAt }: Failure,
  maxRetries: number,
  calculateBackoff: (attempt: number) => number,
  now: number,
): FailedAttempt {
  const attempts = retryCount + 1
  if (attempts >= maxRetries) return deadLetter(error, attempts, occurredAt)
  // After a thousand attempts without a backoff it is 0 · Infinity, which is no number.
  const backoff = Math.min(calculateBackoff(attempts), MAX_DELAY_MS) || 0
  return {
    status: EventStatus.CREATED,
    retryCount: attempts,
    error: errorText(error),
    gsiSortKey: Math.max(now + backoff, dueAt + 1),
  }
}

export function settlementOf({ status }: FailedAttempt): "deadLettered" | "retried" {
  return status === EventStatus.FAILED ? "deadLettered" : "retried"
}

/** An item that can't be read as an event becomes a dead letter at once. */
export function unreadableAttempt(item: Item, reason: Error): FailedAttempt {
  const { retryCount, occurredAt } = toFailedEvent(item)
  return deadLetter(reason, retryCount, occurredAt)
}

/** Dead letters stay in the index, under the time at which the event occurred. */
function deadLetter(error: unknown, retryCount: number, occurredAt: Date): FailedAttempt {
  return {
    status: EventStatus.FAILED,
    retryCount,
    error: errorText(error),
    gsiSortKey: occurredAt.getTime(),
  }
}

/**
 * The delay before the next attempt: `baseBackoffMs · 2^(attempt - 1)`, give or take 10 %, so that events which failed
 * together do not come back together.
 */
export function retryDelay(baseBackoffMs: number, attempt: number): number {
  return Math.floor(baseBackoffMs * 2 ** (attempt - 1) * (0.9 + Math.random() * 0.2))
}
