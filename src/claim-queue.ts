/**
 * The events between index and handler, in order: being claimed, or claimed and waiting for their turn.
 */
import type { TakenRow } from "./due-rows.ts"
import type { Claim, ClaimOutcome } from "./event-life.ts"
import type { HeldEvent } from "./lease-keeper.ts"

/**
 * How far ahead of the handlers to claim. After an event at its last attempt, nothing is claimed before a handler can
 * start; after one that was recovered before, nothing beside anything else.
 */
export type Pace = "ahead" | "just in time" | "one by one"

/** What became of a row that was taken: its claim is under way while there is no outcome. */
export interface Queued extends TakenRow {
  /** How far ahead was being claimed when it was taken. */
  readonly pace: Pace
  outcome?: ClaimOutcome
  /** Present when the claim was won. */
  held?: HeldEvent
  /** On the clock of `performance`. */
  wonAt?: number
  /** To be released as soon as it is claimed: an event before it was. */
  isUnwanted?: boolean
}

export class ClaimQueue {
  private readonly entries: Queued[] = []

  get length(): number {
    return this.entries.length
  }

  get head(): Queued | undefined {
    return this.entries[0]
  }

  push(entry: Queued): void {
    this.entries.push(entry)
  }

  shift(): void {
    this.entries.shift()
  }

  /** Takes out what is claimed from `position` on. What is still being claimed there becomes unwanted. */
  cut(position: number): Queued[] {
    const behind = this.entries.splice(position)
    const pending = behind.filter(({ outcome }) => outcome === undefined)
    for (const entry of pending) entry.isUnwanted = true
    this.entries.push(...pending)
    return behind.filter(({ outcome }) => outcome !== undefined)
  }

  /** The position of the first claimed event of such a kind; behind the last one when there is none. */
  firstWhere(isOfKind: (claim: Claim) => boolean): number {
    const position = this.entries.findIndex((entry) => {
      const claim = claimOf(entry)
      return claim !== undefined && isOfKind(claim)
    })
    return position === -1 ? this.entries.length : position
  }

  /** What to claim next is known only when the unwanted entries have been given back. */
  isUndecided(): boolean {
    return this.entries.some((entry) => entry.isUnwanted)
  }
}

/** The claim of an entry, if it was won. */
export function claimOf({ outcome }: Queued): Claim | undefined {
  return outcome?.kind === "won" ? outcome.claim : undefined
}
