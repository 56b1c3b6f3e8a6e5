/** Renewals of many events, and over a connection that hangs: which of them are sent when, and for how long they wait. */
import { describe, expect, it, vi } from "vitest"
import { deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import type { Lease } from "../state/transitions.ts"
import { delay, NOW, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { claimed, createLeaseKeeper, LEASE_MS } from "../test/lease-keeper.fixture.ts"
import { LeaseKeeper, leftOf } from "./lease-keeper.ts"

useFakeClock()

describe("among many", () => {
  it("running events that hold their lease long enough keep no other from being renewed", async () => {
    const { keeper } = createLeaseKeeper()
    for (let i = 0; i < 30; i++) keeper.add({ ...claimed(), startedAt: performance.now() })
    await pass(100)
    const waiting = claimed()
    keeper.add(waiting)
    for (let i = 0; i < 500; i++) {
      await pass(10)
      expect(leftOf(waiting)).toBeGreaterThanOrEqual(LEASE_MS * 0.65)
    }
  })

  it("as one is answered, or fails, the next most urgent follows, but not the one that has just failed", async () => {
    const { keeper, renew } = createLeaseKeeper()
    const answers: ReturnType<typeof deferred<boolean>>[] = []
    renew.mockImplementation(() => {
      const answer = deferred<boolean>()
      answers.push(answer)
      return answer.promise
    })
    const ids = Array.from({ length: 30 }, (_, i) => `e${i}`)
    // The one that was added last is the most urgent.
    for (const [i, id] of ids.entries()) keeper.add(claimed(NOW + 500 - i, id))
    const renewed = () => renew.mock.calls.map(([{ id }]) => id)
    await pass(50)
    expect(renewed()).toEqual(ids.toReversed().slice(0, 20))
    answers[7]?.resolve(true)
    answers[3]?.reject(new Error("throttled"))
    await pass()
    expect(renewed()).toEqual(ids.toReversed().slice(0, 22))
  })

  it("not all are looked through for each renewal", async () => {
    const { keeper } = createLeaseKeeper()
    for (let i = 0; i < 2000; i++) keeper.add(claimed())
    const clock = vi.spyOn(performance, "now")
    await pass(400)
    // A few looks at each of them per sweep, not per renewal.
    expect(clock.mock.calls.length).toBeLessThan(2000 * 100)
  })
})

describe("when no renewal is answered for just under half a lease", () => {
  const starts = [0.3, 0.34, 0.38, 0.39, 0.4, 0.41, 0.45]
  const cases = [12_000, 30_000, 90_000].flatMap((leaseMs) =>
    starts.flatMap((from) => (["waits", "runs"] as const).map((state) => [leaseMs, from, state] as const)),
  )

  it.each(cases)(
    "of %i ms, from %f of it on, the lease of an event that %s does not end",
    async (leaseMs, from, state) => {
      // Renewed as late as may be.
      vi.spyOn(Math, "random").mockReturnValue(0)
      const keeper = new LeaseKeeper(
        async (lease, leaseEndsAt, limitMs = 10_000) => {
          const now = Date.now() - NOW
          if (now >= from * leaseMs && now < (from + 0.5) * leaseMs - 1) {
            await delay(limitMs)
            throw new Error("no response")
          }
          lease.leaseEndsAt = leaseEndsAt
          return true
        },
        leaseMs,
        () => {},
      )
      const event = claimed(NOW + leaseMs)
      keeper.add(event)
      await pass(leaseMs * 0.29)
      if (state === "runs") event.startedAt = performance.now()
      for (let i = 0; i < 99; i++) {
        await pass(leaseMs / 100)
        expect(leftOf(event)).toBeGreaterThan(0)
      }
    },
  )
})

describe("a renewal waits for its response", () => {
  it.each([
    [3000, 1000],
    [30_000, 3000],
  ])("of a lease of %i ms for %i ms, so that there is time for another try", async (leaseMs, limitMs) => {
    vi.spyOn(Math, "random").mockReturnValue(0)
    const renew = vi.fn<(lease: Lease, leaseEndsAt: number, limitMs?: number) => Promise<boolean>>()
    renew.mockReturnValue(new Promise(() => {}))
    const keeper = new LeaseKeeper(renew, leaseMs, () => {})
    keeper.add(claimed(NOW + leaseMs))
    await pass(leaseMs / 2)
    expect(renew).toHaveBeenCalledExactlyOnceWith(expect.anything(), expect.anything(), limitMs)
  })

  it("for as long as any request where there is no such time: the round trips may be that long", () => {
    const { keeper, renew } = createLeaseKeeper()
    const event = claimed(NOW + 400)
    keeper.add(event)
    expect(keeper.isSafeToStart(event)).toBe(false)
    expect(renew).toHaveBeenCalledExactlyOnceWith(event.lease, NOW + LEASE_MS, undefined)
  })
})
