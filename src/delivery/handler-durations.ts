/** How long handlers have taken lately: what the next one is likely to take. Kept from one drain to the next. */

/** A duration is remembered for at least so many handlers, and for at most twice as many. */
const REMEMBERED = 100

export class HandlerDurations {
  private recent = 0
  private before = 0
  private count = 0

  /** In milliseconds; 0 while no handler has run. */
  get longest(): number {
    return Math.max(this.recent, this.before)
  }

  add(ms: number): void {
    this.recent = Math.max(this.recent, ms)
    if (++this.count < REMEMBERED) return
    this.before = this.recent
    this.recent = 0
    this.count = 0
  }

  /** Nothing could start because of them: the next one is to be tried. */
  forget(): void {
    this.recent = 0
    this.before = 0
    this.count = 0
  }
}
