/** The handlers that run: how many more may, and which of them still count. */
import type { HeldEvent } from "./lease-keeper.ts"

export class Running {
  private readonly events = new Set<HeldEvent>()

  /**
   * @param concurrency - How many may run at once.
   * @param isOverdue - Whether an event's handler has outlived its time. It may never end, so nothing waits for it.
   */
  constructor(
    private readonly concurrency: number,
    private readonly isOverdue: (event: HeldEvent) => boolean,
  ) {}

  get size(): number {
    return this.events.size
  }

  /** How many more may start. */
  get free(): number {
    return this.concurrency - this.events.size
  }

  /** A handler runs within its time. */
  get isBusy(): boolean {
    return [...this.events].some((event) => !this.isOverdue(event))
  }

  /** An event that was recovered before is running within its time: nothing may be beside it. */
  get isReserved(): boolean {
    return [...this.events].some((event) => event.wasRecovered && !this.isOverdue(event))
  }

  /** Every place is taken by a handler that has outlived its time. */
  get isStuck(): boolean {
    return this.free === 0 && !this.isBusy
  }

  add(event: HeldEvent): void {
    event.startedAt = performance.now()
    this.events.add(event)
  }

  delete(event: HeldEvent): void {
    this.events.delete(event)
  }
}
