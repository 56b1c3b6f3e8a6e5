/** The events between index and handler, in order: being looked at or claimed, claimed, or released to wait. */

import type { Marks } from "../state/attempt.ts"
import type { Row } from "../state/status-index.ts"
import { type Candidate, suspicionOf } from "./admission.ts"
import type { Claim } from "./event-operations.ts"
import type { LeasedEvent } from "./lease-keeper.ts"

/**
 * Where an event stands. "released" keeps its place: it is claimed again when it can start. "dropped" leaves the queue:
 * another worker has it, or it can't be read.
 */
export type Standing =
  | Claimed
  | { readonly is: "looking" | "claiming" | "releasing" | "released" | "dropped" }

export interface Claimed {
  readonly is: "claimed"
  readonly claim: Claim
  readonly held: LeasedEvent
  /** On the clock of `performance`. */
  readonly wonAt: number
}

export class Queued implements Candidate {
  standing: Standing = { is: "claiming" }
  marks?: Marks | undefined
  /** Why it waits, as was told last. */
  waitsBecause?: string

  constructor(readonly row: Row) {}

  get claim(): Candidate["claim"] {
    const { is } = this.standing
    return is === "claimed" ? is : is === "released" ? "unclaimed" : "pending"
  }

  get isStrongSuspect(): boolean {
    return this.marks !== undefined && suspicionOf(this.marks) === "strong"
  }
}

export class ClaimQueue {
  private readonly entries: Queued[] = []

  /** Claimed, or on the way there. */
  get ahead(): number {
    return this.entries.length - this.waiting
  }

  /** Released, or on the way there, to keep their place. */
  get waiting(): number {
    return this.entries.filter(({ standing: { is } }) => is === "released" || is === "releasing").length
  }

  has(id: string): boolean {
    return this.entries.some(({ row }) => row.id === id)
  }

  get hasStrongSuspect(): boolean {
    return this.entries.some((entry) => entry.isStrongSuspect)
  }

  /**
   * Something that a crash would count against could be claimed beside the next strong suspect: a claim is under way of an
   * event whose marks are unknown, one is still being released, or there is another strong suspect.
   */
  get isUncertain(): boolean {
    const isUnsettled = ({ standing: { is }, marks }: Queued) =>
      is === "releasing" || (is === "claiming" && !marks)
    const suspects = this.entries.filter(
      ({ claim, isStrongSuspect }) => isStrongSuspect && claim !== "unclaimed",
    )
    return suspects.length > 1 || this.entries.some(isUnsettled)
  }

  [Symbol.iterator](): Iterator<Queued> {
    return this.entries[Symbol.iterator]()
  }

  push(entry: Queued): void {
    this.entries.push(entry)
  }

  remove(entry: Queued): void {
    this.entries.splice(this.entries.indexOf(entry), 1)
  }
}
