/**
 * Which of the events between index and handler may start, and which may wait claimed: the policy that a crash costs
 * its cause attempts, and hardly anybody else.
 *
 * A worker that dies leaves its claims behind, and recovery counts a crash for each of them, since nobody knows which
 * of the events was the cause. So whoever has crashes to its name is watched:
 *
 * 1. Handlers start in the order of the queue, in at most `concurrency` slots.
 * 2. An event with one crash is a *weak* suspect. Weak suspects fill at most half of the slots that no others need.
 * 3. An event with more crashes, or with one and at most two attempts left, is a *strong* suspect. Strong suspects run
 *    one at a time, and never while it is unknown whether what is being claimed is one, too.
 * 4. Everything else runs beside them.
 * 5. A strong suspect does not wait claimed, since a crash would count against it without its having run; nor does an
 *    event at its last attempt, which would be dead-lettered. Such an event is released and keeps its place.
 * 6. Behind handlers that have all exceeded their timeout, nothing waits claimed: they may never end.
 * 7. While a worker has a strong suspect, it looks at an event before it claims it.
 *
 * So one culprit costs another event at most two counts within one worker, and one where two would leave it none.
 */
import type { Marks } from "../state/attempt.ts"

export type Suspicion = "none" | "weak" | "strong"

export function suspicionOf({ crashCount, hasFewAttempts }: Marks): Suspicion {
  if (crashCount === 0) return "none"
  return crashCount > 1 || hasFewAttempts ? "strong" : "weak"
}

/** Rule 5. */
export function mustNotWait(marks: Marks): boolean {
  return marks.isLastAttempt || suspicionOf(marks) === "strong"
}

/** An event between index and handler, as far as admission is concerned. */
export interface Candidate {
  /** "unclaimed": released, to keep its place until it can start. "pending": being read, claimed or released. */
  readonly claim: "unclaimed" | "pending" | "claimed"
  /** Unknown until the event has been claimed or looked at. */
  readonly marks?: Marks | undefined
}

/** What runs, at the moment of the decision. */
export interface Slots {
  readonly concurrency: number
  readonly free: number
  /** Suspects whose handlers run within their timeout. */
  readonly suspects: number
  /** A strong suspect runs within its timeout. */
  readonly hasStrongSuspect: boolean
  /** All slots are taken by handlers that have exceeded their timeout. */
  readonly isStuck: boolean
  /** A crash could still count against another event that must not wait: see {@link ClaimQueue.isUncertain}. */
  readonly isUncertain: boolean
  /** The database is there. Else nothing waits behind what would have to be claimed first. */
  readonly canClaim: boolean
}

/** To be done with an event now. "wait" leaves it as it is. */
export type Verdict = "start" | "claim" | "release" | "wait"

/** Goes through the queue once, from its front, and gives each event its verdict. */
export class AdmissionRound {
  private free: number
  private suspects: number
  private hasStrongSuspect: boolean
  /** An event in front is to start first. */
  private isBlocked = false
  /** Why the last event waits, or is to be released. */
  why = ""

  constructor(private readonly slots: Slots) {
    this.free = slots.free
    this.suspects = slots.suspects
    this.hasStrongSuspect = slots.hasStrongSuspect
  }

  next({ claim, marks }: Candidate): Verdict {
    const suspicion = marks ? suspicionOf(marks) : "none"
    if (claim === "unclaimed" && !this.slots.canClaim) {
      this.why = "no poll is under way, or it has failed"
      return "wait"
    }
    if (this.free === 0 || !this.admits(suspicion)) {
      this.why = this.whyNot(suspicion)
      const mayWait = !this.slots.isStuck && !(marks && mustNotWait(marks))
      return claim === "claimed" && !mayWait ? "release" : "wait"
    }
    this.reserve(suspicion)
    const isReady = claim !== "pending" && !(suspicion === "strong" && this.slots.isUncertain)
    if (isReady && claim === "claimed" && !this.isBlocked) return "start"
    this.why = this.isBlocked
      ? "an event in front starts first"
      : "it is not known yet what is being claimed beside it"
    this.isBlocked = true
    return isReady && claim === "unclaimed" ? "claim" : "wait"
  }

  /** What was to start can't: nothing behind it may. */
  block(why: string): void {
    this.why = why
    this.isBlocked = true
  }

  private whyNot(suspicion: Suspicion): string {
    if (this.slots.isStuck) return "all handlers have exceeded their timeout"
    if (this.free === 0) return "all slots are taken"
    return suspicion === "strong" ? "another strong suspect comes first" : "suspects fill half of the slots"
  }

  /** Rules 2 and 3. */
  private admits(suspicion: Suspicion): boolean {
    if (suspicion === "none") return true
    if (suspicion === "strong") return !this.hasStrongSuspect
    const { concurrency, free, suspects } = this.slots
    const others = concurrency - free - suspects
    return this.suspects < Math.max(1, Math.ceil((concurrency - others) / 2))
  }

  private reserve(suspicion: Suspicion): void {
    this.free--
    if (suspicion !== "none") this.suspects++
    if (suspicion === "strong") this.hasStrongSuspect = true
  }
}
