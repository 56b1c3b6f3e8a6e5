/** One poll of the relay: how long it may claim, what went wrong in it, and the promise of its end. */

/**
 * How a poll ended: all that was due was handed over; its time was over before that; or events may be left that the
 * index did not show as free: other workers were about to take them, or they have just been given back.
 */
export type PollOutcome = "done" | "unfinished" | "unsure"

export class Poll {
  readonly ended: Promise<PollOutcome>
  private failure: { error: unknown } | undefined
  private resolve: (outcome: PollOutcome) => void = () => {}
  private reject: (error: unknown) => void = () => {}

  /** @param until - Epoch milliseconds after which nothing more is claimed. */
  constructor(private readonly until: number) {
    this.ended = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
  }

  /** Nothing more may be read or claimed. */
  get isOver(): boolean {
    return this.failure !== undefined || Date.now() >= this.until
  }

  /** Of several errors, the first one is the one that tells. */
  fail(error: unknown): void {
    this.failure ??= { error }
  }

  end(outcome: PollOutcome): void {
    if (this.failure) this.reject(this.failure.error)
    else this.resolve(outcome)
  }
}
