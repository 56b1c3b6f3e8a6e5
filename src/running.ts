/** The handlers that run: how many more may, and which of them still count; and those whose result is being written. */
import type { HeldEvent } from "./lease-keeper.ts"

export class Running {
  private readonly events = new Set<HeldEvent>()
  private readonly settling = new Set<HeldEvent>()

  /**
   * @param concurrency - How many may run at once.
   * @param isOverdue - Whether an event's handler has exceeded its timeout. It may never end, so nothing waits for it.
   */
  constructor(
    readonly concurrency: number,
    private readonly isOverdue: (event: HeldEvent) => boolean,
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
    const isStrong = ({ suspicion }: HeldEvent) => suspicion === "strong"
    return this.inTime(isStrong).length > 0 || [...this.settling].some(isStrong)
  }

  /** Every slot is taken by a handler that has exceeded its timeout. */
  get isStuck(): boolean {
    return this.free === 0 && this.inTime(() => true).length === 0
  }

  add(event: HeldEvent): void {
    event.startedAt = performance.now()
    this.events.add(event)
  }

  /** Its handler has ended; the result is being written. */
  ended(event: HeldEvent): void {
    this.events.delete(event)
    this.settling.add(event)
  }

  settled(event: HeldEvent): void {
    this.settling.delete(event)
  }

  private inTime(isOfKind: (event: HeldEvent) => boolean): HeldEvent[] {
    return [...this.events].filter((event) => isOfKind(event) && !this.isOverdue(event))
  }
}
