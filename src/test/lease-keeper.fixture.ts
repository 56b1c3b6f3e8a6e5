/** A lease keeper whose renewals are granted, and events to hold. */
import { vi } from "vitest"
import { type LeasedEvent, LeaseKeeper } from "../delivery/lease-keeper.ts"
import type { Lease } from "../state/transitions.ts"
import { NOW } from "./fake-clock.fixture.ts"

export const LEASE_MS = 1000

export const claimed = (leaseEndsAt = Date.now() + LEASE_MS, id = "e1"): LeasedEvent => ({
  lease: { id, token: "t1", leaseEndsAt, dueAt: NOW },
  suspicion: "none",
})

export function createLeaseKeeper() {
  // All renew below 70 % of a lease.
  vi.spyOn(Math, "random").mockReturnValue(0.5)
  const renew = vi.fn(async (lease: Lease, leaseEndsAt: number, _limitMs?: number) => {
    await Promise.resolve()
    lease.leaseEndsAt = leaseEndsAt
    return true
  })
  const onChange = vi.fn()
  return { renew, onChange, keeper: new LeaseKeeper(renew, LEASE_MS, onChange) }
}
