/**
 * Keeps the leases of claimed events alive for as long as their handler may take.
 *
 * ```text
 *  claim             handler starts                      handler starts + processingTimeoutMs
 *    │ waits its turn      │ runs                                          │
 *    ├─────────────────────┼───────────────────────────────────────────────┤
 *    ╰── lease of the claim ──╯
 *              ╰── renewed while waiting ──╯
 *                        ╰────────── renewed once, to the end of the handler's own time ──╯
 * ```
 *
 * A claim is renewed when less than half of a lease is left, so an event that is handled at once costs no renewal.
 * A handler that outlives its own time is left to recovery.
 */
import { unref } from "./background-timer.ts"
import type { Hold } from "./transitions.ts"

/** A claimed event, from its claim until it is settled. */
export interface HeldEvent {
  readonly hold: Hold
  /** Its lease had ended once before: it may have taken its worker down. */
  readonly wasRecovered: boolean
  /** When its handler started, in epoch milliseconds. */
  startedAt?: number
  /** Another worker has the event by now, or had: this worker must not start the handler. */
  isLost?: boolean
  /** Called when the claim turns out to be lost while the handler runs. */
  onLost?: () => void
}

export class LeaseKeeper {
  private readonly held = new Set<HeldEvent>()
  private readonly renewing = new Set<HeldEvent>()
  private timer: NodeJS.Timeout | undefined

  /**
   * @param renew - Writes a later lease end; false when the claim is lost. A rejection leaves the claim as it is.
   * @param leaseMs - The length of a lease.
   * @param onChange - Called after each renewal, granted or not.
   */
  constructor(
    private readonly renew: (hold: Hold, leaseEndsAt: number) => Promise<boolean>,
    private readonly leaseMs: number,
    private readonly onChange: () => void,
  ) {}

  add(event: HeldEvent): void {
    this.held.add(event)
    this.timer ??= unref(setInterval(() => this.sweep(), Math.max(1, this.leaseMs / 4)))
  }

  remove(event: HeldEvent): void {
    this.held.delete(event)
    if (this.held.size > 0) return
    clearInterval(this.timer)
    this.timer = undefined
  }

  /**
   * Whether the lease is long enough to start the handler. If not (the process was frozen, say), it is being renewed,
   * and `onChange` tells when to ask again: what another worker has recovered meanwhile must not be delivered.
   */
  isSafeToStart(event: HeldEvent): boolean {
    if (event.hold.leaseEndsAt - Date.now() >= this.leaseMs / 4) return true
    void this.extend(event)
    return false
  }

  /** The handler has used up its own time; the event may be anyone's. */
  isOverdue(event: HeldEvent): boolean {
    return event.startedAt !== undefined && Date.now() >= event.startedAt + this.leaseMs
  }

  private sweep(): void {
    for (const event of this.held) {
      if (event.hold.leaseEndsAt - Date.now() < this.leaseMs / 2) void this.extend(event)
    }
    this.onChange()
  }

  private async extend(event: HeldEvent): Promise<void> {
    const leaseEndsAt = (event.startedAt ?? Date.now()) + this.leaseMs
    if (
      event.isLost ||
      this.renewing.has(event) ||
      leaseEndsAt <= event.hold.leaseEndsAt ||
      this.isOverdue(event)
    )
      return
    this.renewing.add(event)
    try {
      event.isLost = !(await this.renew(event.hold, leaseEndsAt))
      if (event.isLost) event.onLost?.()
      this.renewing.delete(event)
      this.onChange()
    } catch {
      // The next sweep tries again. Should none succeed, the lease ends and recovery reports it.
      this.renewing.delete(event)
    }
  }
}
