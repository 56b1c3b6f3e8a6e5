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
 * A claim is renewed when about 30 % of its lease is gone, so an event that is handled at once costs no renewal, and
 * renewals that fail for half a lease cost nothing. A handler that exceeds its own time is left to recovery.
 */
import { OperationalError } from "outbox-event-bus"
import { unref } from "../process/background-timer.ts"
import type { Lease } from "../state/transitions.ts"
import type { Suspicion } from "./admission.ts"

/** Renewed when less than so much of the lease is left: at random, since events that are claimed together end together. */
const RENEW_BELOW = { least: 0.65, most: 0.75 }
/** How often in a lease to look what is to be renewed. */
const SWEEPS_PER_LEASE = 20
/** With thousands of handlers, renewals must leave connections to claims and results. */
const RENEWALS_AT_ONCE = 20
/** Shares of a lease that a handler must find to be started: at least, and when the lease has just been renewed for it. */
const TO_START = { atLeast: 1 / 2, justRenewed: 1 / 4 }
/** How long a renewal waits for its response while there is time for another try. */
const RESPONSE = { leastMs: 1000, perLease: 1 / 10 }
/** A block of such a share of a lease may be followed by one that outlasts what is left of a lease. */
const LONG_BLOCK = 1 / 4
/** So many renewals in a row that leave less than that mean that the lease is too short for the round trips. */
const TOO_SHORT_AFTER = 3

/** A claimed event, from its claim until it is settled. */
export interface LeasedEvent {
  readonly lease: Lease
  /** Whether it may crash its worker. */
  readonly suspicion: Suspicion
  /** When its handler started, on the clock of `performance`. */
  startedAt?: number
  /** When the lease ends, on the clock of `performance`; kept by the {@link LeaseKeeper}. */
  heldUntil?: number
  /** When its next renewal may be tried, on the same clock. */
  renewableAt?: number
  /** Its share of {@link RENEW_BELOW}. */
  renewBelow?: number
  /** Its handler waits for a renewal. */
  mustRenew?: boolean
  /** It was renewed to start its handler. */
  wasRenewedToStart?: boolean
  /** Granted renewals in a row that left too little to start its handler. */
  shortRenewals?: number
  /** What became of it is being written, on condition of this lease, which must not move any more. */
  isSettling?: boolean
  /** Another worker has the event by now, or had: this worker must not start the handler. */
  isLost?: boolean
  /** Called when the claim turns out to be lost while the handler runs. */
  onLost?: () => void
}

export class LeaseKeeper {
  /** Of the renewals that left too little to start a handler. */
  private fastestRenewalMs = Number.POSITIVE_INFINITY
  /** To be renewed as soon as there is room, the most urgent last: sorted once per sweep, since there may be thousands. */
  private due: LeasedEvent[] = []
  private readonly held = new Set<LeasedEvent>()
  private readonly renewing = new Set<LeasedEvent>()
  private timer: NodeJS.Timeout | undefined

  /**
   * @param renew - Writes a later lease end; false when the claim is lost. A rejection leaves the claim as it is. Without
   *   `limitMs`, it waits for the response for as long as any request does.
   * @param leaseMs - The length of a lease.
   * @param onChange - Called after each renewal, granted or not.
   */
  constructor(
    private readonly renew: (lease: Lease, leaseEndsAt: number, limitMs?: number) => Promise<boolean>,
    private readonly leaseMs: number,
    private readonly onChange: () => void,
  ) {}

  add(event: LeasedEvent): void {
    this.held.add(event)
    heldUntilOf(event)
    event.renewBelow = RENEW_BELOW.least + Math.random() * (RENEW_BELOW.most - RENEW_BELOW.least)
    this.timer ??= unref(setInterval(() => this.sweep(), this.sweepMs))
  }

  remove(event: LeasedEvent): void {
    this.held.delete(event)
    if (this.held.size > 0) return
    clearInterval(this.timer)
    this.timer = undefined
  }

  /** From now on the lease stays as it is, since the write that settles the event names it. */
  freeze(event: LeasedEvent): void {
    event.isSettling = true
  }

  /**
   * Whether enough of the lease is left for the handler. If not (the process was suspended, say), it is being renewed,
   * and `onChange` tells when to ask again: what another worker has recovered meanwhile must not be delivered.
   */
  isSafeToStart(event: LeasedEvent): boolean {
    const share = event.wasRenewedToStart ? TO_START.justRenewed : TO_START.atLeast
    if (!event.mustRenew && leftOf(event) >= share * this.leaseMs) return true
    event.mustRenew = true
    if (this.due.at(-1) !== event) this.due.push(event)
    this.renewDue()
    return false
  }

  /** Renewals are granted, but so late that the handler can't be started. */
  isTooShort(event: LeasedEvent): boolean {
    return (event.shortRenewals ?? 0) >= TOO_SHORT_AFTER
  }

  /** What to report then. */
  tooShortError(): OperationalError {
    const [leaseMs, roundTripMs] = [this.leaseMs, Math.ceil(this.fastestRenewalMs)]
    return new OperationalError(
      `No handler can start: processingTimeoutMs (${leaseMs}) is too short for the round trips to DynamoDB, of which the ` +
        `fastest took ${roundTripMs} ms. Set it to ${roundTripMs * 10} at least. Claimed events were released.`,
      { processingTimeoutMs: leaseMs, fastestRoundTripMs: roundTripMs },
    )
  }

  /** Something has blocked the process, and may do so again: what is only claimed starts with a whole lease. */
  wasBlocked(ms: number): void {
    if (ms < this.leaseMs * LONG_BLOCK) return
    for (const event of this.held) event.mustRenew ||= event.startedAt === undefined
  }

  /** The handler has used up its own time; the event may be anyone's. */
  isOverdue(event: LeasedEvent): boolean {
    return event.startedAt !== undefined && performance.now() >= event.startedAt + this.leaseMs
  }

  /** Whether this worker holds the event in time, whatever the table says of its lease: nobody here must recover it. */
  holds(id: string): boolean {
    return [...this.held].some((event) => event.lease.id === id && !event.isLost && !this.isOverdue(event))
  }

  private get sweepMs(): number {
    return Math.max(1, this.leaseMs / SWEEPS_PER_LEASE)
  }

  private sweep(): void {
    const due = [...this.held]
      .filter((event) => this.needsRenewal(event))
      .map((event) => ({ event, left: leftOf(event) }))
    this.due = due.sort((a, b) => b.left - a.left).map(({ event }) => event)
    this.renewDue()
    this.onChange()
  }

  private renewDue(): void {
    while (this.renewing.size < RENEWALS_AT_ONCE) {
      const event = this.due.pop()
      if (!event) return
      if (this.needsRenewal(event)) void this.extend(event)
    }
  }

  private needsRenewal(event: LeasedEvent): boolean {
    const { isLost, isSettling, renewableAt = 0, renewBelow = 0 } = event
    return (
      (event.mustRenew || leftOf(event) < renewBelow * this.leaseMs) &&
      performance.now() >= renewableAt &&
      !isLost &&
      !isSettling &&
      this.held.has(event) &&
      !this.renewing.has(event) &&
      !this.isOverdue(event) &&
      // A running event that holds its lease to the end of its own time needs no more.
      this.nextEndOf(event) > event.lease.leaseEndsAt
    )
  }

  private nextEndOf(event: LeasedEvent): number {
    const now = performance.now()
    const heldUntil = (event.startedAt ?? now) + this.leaseMs
    // By how much time has passed, so that a clock which is set back doesn't shorten it; by the clock where that is further on.
    return Math.max(event.lease.leaseEndsAt + heldUntil - heldUntilOf(event), Date.now() + heldUntil - now)
  }

  private async extend(event: LeasedEvent): Promise<void> {
    const { lease } = event
    const before = lease.leaseEndsAt
    const since = performance.now()
    event.renewableAt = since + this.sweepMs
    this.renewing.add(event)
    let isAnswered = true
    try {
      event.isLost = !(await this.renew(lease, this.nextEndOf(event), this.limitFor(event)))
    } catch {
      // It is retried. Should no try succeed, the lease ends and recovery reports it.
      isAnswered = false
    }
    this.renewing.delete(event)
    if (isAnswered) {
      event.heldUntil = heldUntilOf(event) + lease.leaseEndsAt - before
      if (event.mustRenew) this.wasRenewedToStart(event, performance.now() - since)
      if (event.isLost) event.onLost?.()
      this.onChange()
    }
    this.renewDue()
  }

  /** Giving up early is for the sake of another try. What has no time for one waits: the round trips may be that long. */
  private limitFor(event: LeasedEvent): number | undefined {
    const limitMs = Math.max(RESPONSE.leastMs, this.leaseMs * RESPONSE.perLease)
    return leftOf(event) > limitMs ? limitMs : undefined
  }

  private wasRenewedToStart(event: LeasedEvent, roundTripMs: number): void {
    const isEnough = leftOf(event) >= TO_START.justRenewed * this.leaseMs
    event.mustRenew = false
    event.wasRenewedToStart = true
    event.shortRenewals = isEnough ? 0 : (event.shortRenewals ?? 0) + 1
    if (!isEnough) this.fastestRenewalMs = Math.min(this.fastestRenewalMs, roundTripMs)
  }
}

function heldUntilOf(event: LeasedEvent): number {
  event.heldUntil ??= performance.now() + event.lease.leaseEndsAt - Date.now()
  return event.heldUntil
}

/**
 * What is left of a lease, in milliseconds, by the more cautious of two clocks: one that is set back must not prolong a lease, and the
 * monotonic one stands still while a machine is suspended.
 */
export function leftOf(event: LeasedEvent): number {
  return Math.min(heldUntilOf(event) - performance.now(), event.lease.leaseEndsAt - Date.now())
}
