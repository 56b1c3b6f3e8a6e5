/** One poll of the relay: how long it may claim, what went wrong in it, and the promise of its end. */

/**
 * How a poll ended: all that was due was handed over; its time was over before that; or events may be left that the
 * index did not show as free: other workers were about to take them, or they have just been released.
 */
export type PollOutcome = "done" | "unfinished" | "unsure"

/** Shortest time for a poll to claim events in, however short the leases. */
const MIN_POLL_MS = 250

/** When to look again for events that may be left, at random so that workers who left them to each other do not meet again. */
export const LOOK_AGAIN_MS = { least: 100, most: 300 }

/** Until when a poll claims, on the clock of `performance`: one that has much to do makes room for recovery in between. */
export function pollUntil(leaseMs: number): number {
  return performance.now() + Math.max(MIN_POLL_MS, leaseMs / 2)
}

export class Poll {
  readonly ended: Promise<PollOutcome>
  /** The database has carried out something for this poll: what fails beside it is no reason for a pause. */
  hasSucceeded = false
  /** What it finds can't be handled now: the next poll comes at its usual time. */
  isGivenUp = false
  private failure: { error: unknown } | undefined
  private resolve: (outcome: PollOutcome) => void = () => {}
  private reject: (error: unknown) => void = () => {}

  /** @param until - When to claim nothing more, on the clock of `performance`. */
  constructor(private readonly until: number) {
    this.ended = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
  }

  /** Nothing more may be read or claimed. */
  get isOver(): boolean {
    return this.hasFailed || this.isGivenUp || performance.now() >= this.until
  }

  get hasFailed(): boolean {
    return this.failure !== undefined
  }

  /** Of several errors, the first one is the one that tells. */
  fail(error: unknown): void {
    this.failure ??= { error }
  }

  /**
   * @param onInterrupted - Told what ended a poll that had got something done. Such a poll has not failed: the next one follows
   * soon, and fails if the database is not there.
   */
  end(outcome: PollOutcome, onInterrupted: (error: unknown) => void): void {
    if (!this.failure) {
      this.resolve(outcome)
    } else if (this.hasSucceeded) {
      onInterrupted(this.failure.error)
      this.resolve("unsure")
    } else {
      this.reject(this.failure.error)
    }
  }
}
