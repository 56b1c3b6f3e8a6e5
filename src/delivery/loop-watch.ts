/**
 * Notices that a handler blocks the event loop: as long as it does, nothing that was sent leaves the process, no
 * response arrives and no lease is renewed.
 */
import { unref } from "../process/background-timer.ts"

const TICK_MS = 20
/** How much later than that the loop may turn. Users' own work blocks it now and then for a few milliseconds. */
const TOLERANCE_MS = 50

export class LoopWatch {
  private timer: NodeJS.Timeout | undefined
  /** On the clock of `performance`. */
  private lastTurn = 0

  private isCatchingUp = false

  /**
   * @param onBlocked - Called when a block is noticed, with its length so far in milliseconds.
   * @param onTurned - Called when the loop turns again after a block.
   */
  constructor(
    private readonly onBlocked: (ms: number) => void,
    private readonly onTurned: () => void,
  ) {}

  start(): void {
    if (this.timer !== undefined) return
    this.lastTurn = performance.now()
    this.timer = unref(setInterval(() => this.turned(), TICK_MS))
  }

  stop(): void {
    clearInterval(this.timer)
    this.timer = undefined
  }

  /** The loop has not turned for so long that something must have blocked it. */
  get isBlocked(): boolean {
    return this.timer !== undefined && performance.now() - this.lastTurn > TICK_MS + TOLERANCE_MS
  }

  /**
   * Whether another handler may start. One that blocks the loop keeps results from being sent, and the next one may, too, until
   * leases have expired: so all is to be settled first.
   *
   * @param isSettled - Whether no result is being written.
   */
  mayStart(isSettled: boolean): boolean {
    if (this.isBlocked) {
      this.isCatchingUp = true
      this.onBlocked(performance.now() - this.lastTurn)
    } else if (isSettled) {
      this.isCatchingUp = false
    }
    return !this.isCatchingUp
  }

  private turned(): void {
    const wasBlocked = this.isBlocked
    this.lastTurn = performance.now()
    if (wasBlocked) this.onTurned()
  }
}
