/** How long handlers have taken lately, and those that run have taken so far: what the next one is likely to take. */

/** A duration is remembered for at least so many handlers, and for at most twice as many. */
const REMEMBERED = 100

export class HandlerDurations {
  private recent = 0
  private before = 0
  private count = 0
  /** When those that run have started, on the clock of `performance`, the oldest first. */
  private readonly running = new Set<{ readonly at: number }>()

  /** @returns to be called when the handler has ended. */
  started(): () => void {
    const run = { at: performance.now() }
    this.running.add(run)
    return () => {
      this.running.delete(run)
      this.ended(performance.now() - run.at)
    }
  }

  /** In milliseconds; 0 while no handler has run. */
  get longest(): number {
    const [oldest] = this.running
    const soFar = oldest ? performance.now() - oldest.at : 0
    return Math.max(this.recent, this.before, soFar)
  }

  /** Nothing could start because of them. They may have been those of a process that was suspended. */
  forget(): void {
    this.recent = 0
    this.before = 0
    this.count = 0
  }

  private ended(ms: number): void {
    this.recent = Math.max(this.recent, ms)
    if (++this.count < REMEMBERED) return
    this.before = this.recent
    this.recent = 0
    this.count = 0
  }
}
