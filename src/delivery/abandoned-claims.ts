/**
 * Claims whose outcome is unknown: no response came, or the SDK ran out of attempts. Such a claim may have been carried out, or may
 * still be. Left alone, it would count as an attempt that never ran, so each is fenced: undone, and refused should it come late.
 */
import { forEachBounded } from "../database/bounded.ts"
import type { Lease } from "../state/transitions.ts"

const FENCES_AT_ONCE = 10
/** Due queries follow each other closely; an item that can't be written now can't be written a moment later either. */
const RETRY_PAUSE_MS = 1000

interface AbandonedClaim {
  readonly lease: Lease
  readonly claimedAt: number
  /** When the fence is pointless since the lease has expired, on the clock of `performance`. */
  readonly pointlessAt: number
}

export class AbandonedClaims {
  /** Those whose fence has failed. */
  private readonly unfenced = new Set<AbandonedClaim>()
  /** On the clock of `performance`. */
  private retryAt = 0
  private readonly underWay = new Set<Promise<unknown>>()

  /**
   * @param write - Fences a claim that was made at `claimedAt`.
   * @param leaseMs - The length of a lease.
   */
  constructor(
    private readonly write: (lease: Lease, claimedAt: number) => Promise<unknown>,
    private readonly leaseMs: number,
  ) {}

  /** Does not reject: the claim's own error is the one to report. */
  fence(lease: Lease, claimedAt: number): void {
    void this.send({ lease, claimedAt, pointlessAt: performance.now() + this.leaseMs })
  }

  /** Sends again the fences that have failed, a pause after the last failure: to be called when the database responds. */
  retry(): void {
    const now = performance.now()
    if (now < this.retryAt) return
    const claims = [...this.unfenced]
    this.unfenced.clear()
    void forEachBounded(
      claims.filter(({ pointlessAt }) => pointlessAt > now),
      FENCES_AT_ONCE,
      (claim) => this.send(claim),
    )
  }

  /** Resolves when no fence is under way. */
  async idle(): Promise<void> {
    while (this.underWay.size > 0) await Promise.all(this.underWay)
  }

  private async send(claim: AbandonedClaim): Promise<void> {
    const fence = this.write(claim.lease, claim.claimedAt).catch(() => {
      this.unfenced.add(claim)
      this.retryAt = performance.now() + RETRY_PAUSE_MS
    })
    this.underWay.add(fence)
    await fence
    this.underWay.delete(fence)
  }
}
