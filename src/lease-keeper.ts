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
import type { Suspicion } from "./admission.ts"
import { unref } from "./background-timer.ts"
import type { Hold } from "./transitions.ts"

/** A claimed event, from its claim until it is settled. */
export interface HeldEvent {
  readonly hold: Hold
  /** Whether it may crash its worker. */
  readonly suspicion: Suspicion
  /** When its handler started, on the clock of `performance`. */
  startedAt?: number
  /** When the lease ends, on the clock of `performance`; kept by the {@link LeaseKeeper}. */
  heldUntil?: number
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
    heldUntilOf(event)
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
    if (leftOf(event) >= this.leaseMs / 4) return true
    void this.extend(event)
    return false
  }

  /** The handler has used up its own time; the event may be anyone's. */
  isOverdue(event: HeldEvent): boolean {
    return event.startedAt !== undefined && performance.now() >= event.startedAt + this.leaseMs
  }

  /** Whether this worker holds the event in time, whatever the table says of its lease: nobody here must recover it. */
  holds(id: string): boolean {
    return [...this.held].some((event) => event.hold.id === id && !event.isLost && !this.isOverdue(event))
  }

  private sweep(): void {
    for (const event of this.held) {
      if (leftOf(event) < this.leaseMs / 2) void this.extend(event)
    }
    this.onChange()
  }

  private async extend(event: HeldEvent): Promise<void> {
    const now = performance.now()
    const heldUntil = (event.startedAt ?? now) + this.leaseMs
    const { hold } = event
    // By how much time has passed, so that a clock which is set back doesn't shorten it; by the clock where that is further on.
    const leaseEndsAt = Math.max(
      hold.leaseEndsAt + heldUntil - heldUntilOf(event),
      Date.now() + heldUntil - now,
    )
    if (event.isLost || this.renewing.has(event) || leaseEndsAt <= hold.leaseEndsAt || this.isOverdue(event))
      return
    this.renewing.add(event)
    try {
      const before = hold.leaseEndsAt
      event.isLost = !(await this.renew(hold, leaseEndsAt))
      event.heldUntil = heldUntilOf(event) + hold.leaseEndsAt - before
      if (event.isLost) event.onLost?.()
      this.renewing.delete(event)
      this.onChange()
    } catch {
      // The next sweep tries again. Should none succeed, the lease ends and recovery reports it.
      this.renewing.delete(event)
    }
  }
}

function heldUntilOf(event: HeldEvent): number {
  event.heldUntil ??= performance.now() + event.hold.leaseEndsAt - Date.now()
  return event.heldUntil
}

/**
 * What is left of a lease, in milliseconds, by the more cautious of two clocks: one that is set back must not prolong a lease, and the
 * monotonic one stands still while a machine is suspended.
 */
function leftOf(event: HeldEvent): number {
  return Math.min(heldUntilOf(event) - performance.now(), event.hold.leaseEndsAt - Date.now())
}
