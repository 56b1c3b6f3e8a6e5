/** The handlers that run: how many more may, and which of them still count; and those whose result is being written. */
import type { LeasedEvent } from "./lease-keeper.ts"

export class Running {
  private readonly events = new Set<LeasedEvent>()
  private readonly settling = new Set<LeasedEvent>()

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
    return this.inTime(({ suspicion }) => suspicion !== "none").length
  }

  /** A strong suspect runs within its timeout, or is being settled: until then, a crash would count against it. */
  get hasStrongSuspect(): boolean {
    const isStrong = ({ suspicion }: LeasedEvent) => suspicion === "strong"
    return this.inTime(isStrong).length > 0 || [...this.settling].some(isStrong)
  }

  /** Every slot is taken by a handler that has exceeded its timeout. */
  get isStuck(): boolean {
    return this.free === 0 && this.inTime(() => true).length === 0
  }

  add(event: LeasedEvent): void {
    event.startedAt = performance.now()
    this.events.add(event)
  }

  /** Its handler has ended; the result is being written. */
  ended(event: LeasedEvent): void {
    this.events.delete(event)
    this.settling.add(event)
  }

  settled(event: LeasedEvent): void {
    this.settling.delete(event)
  }

  private inTime(isOfKind: (event: LeasedEvent) => boolean): LeasedEvent[] {
    return [...this.events].filter((event) => isOfKind(event) && !this.isOverdue(event))
  }
}
