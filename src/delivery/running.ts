/** The handlers that run: how many more may, and which of them still count; and those whose result is being written. */
import type { LeasedEvent } from "./lease-keeper.ts"

export class Running {
  private readonly events = new Set<LeasedEvent>()
  /** Those of them, and of what is being settled, that may crash their worker: mostly none. */
  private readonly suspicious = new Set<LeasedEvent>()

  /**
   * @param concurrency - How many may run at once.
   * @param isOverdue - Whether an event's handler has exceeded its timeout. It may never end, so nothing waits for it.
   */
  constructor(
    readonly concurrency: number,
    private readonly isOverdue: (event: LeasedEvent) => boolean,
  ) {}

  get size(): number {
    return this.events.size
  }

  /** How many more may start. */
  get free(): number {
    return this.concurrency - this.events.size
  }

  /** Suspects whose handlers run within their timeout. */
  get suspects(): number {
    return [...this.suspicious].filter((event) => this.runsInTime(event)).length
  }

  /** A strong suspect runs within its timeout, or is being settled: until then, a crash would count against it. */
  get hasStrongSuspect(): boolean {
    return [...this.suspicious].some(
      (event) => event.suspicion === "strong" && (!this.events.has(event) || this.runsInTime(event)),
    )
  }

  /** Every slot is taken by a handler that has exceeded its timeout. */
  get isStuck(): boolean {
    return this.free === 0 && [...this.events].every((event) => this.isOverdue(event))
  }

  add(event: LeasedEvent): void {
    event.startedAt = performance.now()
    this.events.add(event)
    if (event.suspicion !== "none") this.suspicious.add(event)
  }

  /** Its handler has ended; the result is being written. */
  ended(event: LeasedEvent): void {
    this.events.delete(event)
  }

  settled(event: LeasedEvent): void {
    this.suspicious.delete(event)
  }

  private runsInTime(event: LeasedEvent): boolean {
    return this.events.has(event) && !this.isOverdue(event)
  }
}
