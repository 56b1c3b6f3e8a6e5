/** What a delivery asks of the outbox: the steps in the life of an event, and what a claim is. */
import type { BusEvent } from "outbox-event-bus"
import type { Page } from "../database/requests.ts"
import type { Marks } from "../state/attempt.ts"
import type { DuePageRequest, PageRequest, Row } from "../state/status-index.ts"
import type { Lease } from "../state/transitions.ts"

/** An event that this worker has claimed. */
export interface Claim extends Marks {
  readonly lease: Lease
  readonly event: BusEvent
  /** When the event occurred, whatever its handler makes of the event. */
  readonly occurredAt: Date
  /** The same as the table holds it: with the id, it tells this event from another one published anew under the id. */
  readonly storedOccurredAt: string
  /** Attempts before this one. */
  readonly retryCount: number
}

/**
 * What became of an attempt to claim. "unreadable" ones have been set aside already; "impossible" ones can't be claimed by anyone,
 * whatever other rows can.
 */
export type ClaimOutcome =
  | { kind: "won"; claim: Claim }
  | { kind: "lost" }
  | { kind: "unreadable" }
  | { kind: "impossible"; error: unknown }

/** What became of an event that a worker had claimed, as it was written. */
export type Settlement = "delivered" | "retried" | "deadLettered" | "released"

/** The reads and writes that the relay puts in order. Those that end a claim report their errors and do not reject;
 * they resolve with `undefined` where nothing was written. */
export interface EventOperations {
  /** Reads a page of due events from the index. */
  due(request: DuePageRequest): Promise<Page>
  /** Reads what is known of a due event without claiming it; `undefined` when it is not there to be claimed. */
  look(row: Row): Promise<Marks | undefined>
  claim(row: Row): Promise<ClaimOutcome>
  /**
   * @param limitMs - How long to wait for the response; default: as long as for any.
   * @returns false if the claim is lost.
   */
  renew(lease: Lease, leaseEndsAt: number, limitMs?: number): Promise<boolean>
  release(claim: Claim): Promise<Settlement | undefined>
  complete(claim: Claim): Promise<Settlement | undefined>
  fail(claim: Claim, error: unknown): Promise<Settlement | undefined>
  /** Reports a row whose claim has failed, and what is behind it goes on. */
  claimFailed(row: Row, error: unknown): void
  /** What a read has failed with; the first time, what is wrong with the table, where that can be known. */
  explained(error: unknown): Promise<unknown>
  /** Reports what interrupted a poll that had got something done. */
  interrupted(error: unknown): void
}

/** The reads and writes of recovery. */
export interface StuckEvents {
  /** Reads a page of the events whose lease has expired. */
  stuck(request: PageRequest): Promise<Page>
  recover(row: Row): Promise<Settlement | undefined>
  /** Reports a row whose recovery has failed. */
  recoveryFailed(row: Row, error: unknown): void
}
