import { describe, expect, it, vi } from "vitest"
import { deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import type { Lease } from "../state/transitions.ts"
import { delay, NOW, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { claimed, createLeaseKeeper, LEASE_MS } from "../test/lease-keeper.fixture.ts"
import { type LeasedEvent, LeaseKeeper } from "./lease-keeper.ts"

useFakeClock()

describe("while an event waits its turn", () => {
  it("its lease is renewed when about 30 % of it is gone, again and again", async () => {
    const { keeper, renew } = createLeaseKeeper()
    const event = claimed()
    keeper.add(event)
    await pass(300)
    expect(renew).not.toHaveBeenCalled()
    await pass(50)
    expect(renew).toHaveBeenCalledExactlyOnceWith(event.lease, NOW + 1350, undefined)
    for (let i = 0; i < 1000; i++) {
      await pass(10)
      expect(event.lease.leaseEndsAt - Date.now()).toBeGreaterThanOrEqual(0.65 * LEASE_MS)
    }
  })

  it("events that are claimed together are not renewed together", async () => {
    const { keeper, renew } = createLeaseKeeper()
    vi.mocked(Math.random).mockRestore()
    for (let i = 0; i < 200; i++) keeper.add(claimed())
    await pass(300)
    const early = renew.mock.calls.length
    await pass(50)
    expect(renew).toHaveBeenCalledTimes(200)
    expect(early).toBeGreaterThan(40)
    expect(early).toBeLessThan(160)
  })

  it("an event that is handled at once costs no renewal", async () => {
    const { keeper, renew } = createLeaseKeeper()
    const event = claimed()
    keeper.add(event)
    await pass(300)
    keeper.remove(event)
    await pass(5000)
    expect(renew).not.toHaveBeenCalled()
  })
})

describe("while its handler runs", () => {
  it("its lease is renewed once, to the end of the handler's own time, and then left to recovery", async () => {
    const { keeper, renew } = createLeaseKeeper()
    const event = claimed()
    keeper.add(event)
    await pass(300)
    event.startedAt = performance.now()
    await pass(10_000)
    expect(renew).toHaveBeenCalledExactlyOnceWith(event.lease, NOW + 300 + LEASE_MS, undefined)
    expect(event.isLost).toBe(false)
  })

  it("its lease is not renewed any more when its own time is over, though no renewal has succeeded", async () => {
    const { keeper, renew } = createLeaseKeeper()
    renew.mockRejectedValue(new Error("throttled"))
    const event = claimed()
    keeper.add(event)
    event.startedAt = 100
    await pass(LEASE_MS + 100)
    const { length } = renew.mock.calls
    expect(length).toBeGreaterThan(0)
    await pass(10_000)
    expect(renew).toHaveBeenCalledTimes(length)
  })

  it("no renewal is needed where it started with its claim", async () => {
    const { keeper, renew } = createLeaseKeeper()
    const event = { ...claimed(), startedAt: 0 }
    keeper.add(event)
    await pass(10_000)
    expect(renew).not.toHaveBeenCalled()
  })

  it("it is overdue from the end of its own time on", async () => {
    const { keeper } = createLeaseKeeper()
    expect(keeper.isOverdue(claimed())).toBe(false)
    const event = { ...claimed(), startedAt: 0 }
    await pass(LEASE_MS - 1)
    expect(keeper.isOverdue(event)).toBe(false)
    await pass(1)
    expect(keeper.isOverdue(event)).toBe(true)
  })
})

describe("before a handler starts", () => {
  it("the lease is long enough while half of it is left", () => {
    const { keeper, renew } = createLeaseKeeper()
    expect(keeper.isSafeToStart(claimed(NOW + 500))).toBe(true)
    expect(renew).not.toHaveBeenCalled()
  })

  it("a shorter one is renewed first, and the change is told", async () => {
    const { keeper, renew, onChange } = createLeaseKeeper()
    const event = claimed(NOW + 499)
    keeper.add(event)
    expect(keeper.isSafeToStart(event)).toBe(false)
    expect(keeper.isSafeToStart(event)).toBe(false)
    await pass()
    expect(renew).toHaveBeenCalledExactlyOnceWith(event.lease, NOW + LEASE_MS, undefined)
    expect(onChange).toHaveBeenCalledOnce()
    expect(keeper.isSafeToStart(event)).toBe(true)
  })

  it("one that waited while the process was blocked is renewed, however much is left; one that runs is not", async () => {
    const { keeper, renew } = createLeaseKeeper()
    const [waiting, running] = [claimed(), { ...claimed(), startedAt: performance.now() }]
    for (const event of [waiting, running]) keeper.add(event)
    await pass(10)
    keeper.wasBlocked(LEASE_MS / 4 - 1)
    expect(keeper.isSafeToStart(waiting)).toBe(true)
    keeper.wasBlocked(LEASE_MS / 4)
    expect(keeper.isSafeToStart(waiting)).toBe(false)
    await pass()
    expect(keeper.isSafeToStart(waiting)).toBe(true)
    expect(renew).toHaveBeenCalledExactlyOnceWith(waiting.lease, NOW + 10 + LEASE_MS, undefined)
  })

  it("one that has just been renewed for it suffices with a quarter", async () => {
    const { keeper, renew } = createLeaseKeeper()
    renew.mockImplementation(async (lease, leaseEndsAt) => {
      await delay(700)
      lease.leaseEndsAt = leaseEndsAt
      return true
    })
    const event = claimed(NOW + 400)
    keeper.add(event)
    expect(keeper.isSafeToStart(event)).toBe(false)
    await pass(700)
    expect(keeper.isSafeToStart(event)).toBe(true)
  })

  it("is given up after three renewals that leave less: the lease is too short for the round trips", async () => {
    const { keeper, renew } = createLeaseKeeper()
    renew.mockImplementation(async (lease, leaseEndsAt) => {
      await delay(800 + 100 * (renew.mock.calls.length % 2))
      lease.leaseEndsAt = leaseEndsAt
      return true
    })
    // One that came in time tells nothing of those that did not.
    const quick = claimed(NOW + 400, "quick")
    keeper.add(quick)
    renew.mockImplementationOnce(async (lease, leaseEndsAt) => {
      lease.leaseEndsAt = leaseEndsAt
      return true
    })
    expect(keeper.isSafeToStart(quick)).toBe(false)
    await pass()
    keeper.remove(quick)
    const event = claimed(Date.now() + 400)
    keeper.add(event)
    for (let renewals = 0; renewals < 3; renewals++) {
      expect(keeper.isTooShort(event)).toBe(false)
      expect(keeper.isSafeToStart(event)).toBe(false)
      await pass(900)
    }
    expect(keeper.isTooShort(event)).toBe(true)
    expect(keeper.tooShortError()).toMatchObject({
      message: expect.stringMatching(/processingTimeoutMs \(1000\).* fastest took 800 ms/),
      context: { processingTimeoutMs: 1000, fastestRoundTripMs: 800 },
    })
  })

  it("one that ended while the process was frozen is lost if another worker has the event by now", async () => {
    const { keeper, renew, onChange } = createLeaseKeeper()
    renew.mockResolvedValue(false)
    const event = claimed()
    keeper.add(event)
    vi.setSystemTime(NOW + 60_000)
    expect(keeper.isSafeToStart(event)).toBe(false)
    await pass()
    expect(event.isLost).toBe(true)
    expect(onChange).toHaveBeenCalled()
    await pass(10_000)
    expect(renew).toHaveBeenCalledOnce()
  })
})

describe("a clock that is set back", () => {
  it("does not keep a lease from being renewed, for as long as it would have been", async () => {
    const { keeper, renew } = createLeaseKeeper()
    const event = claimed()
    keeper.add(event)
    vi.setSystemTime(NOW - 3_600_000)
    await pass(350)
    expect(renew).toHaveBeenCalledExactlyOnceWith(event.lease, NOW + 350 + LEASE_MS, undefined)
    await pass(350)
    expect(renew).toHaveBeenLastCalledWith(event.lease, NOW + 700 + LEASE_MS, undefined)
    keeper.remove(event)
  })
})

describe("what this worker holds", () => {
  it("is what it has claimed and what runs in time, but not what is lost or overdue", async () => {
    const { keeper } = createLeaseKeeper()
    const event = claimed()
    expect(keeper.holds("e1")).toBe(false)
    keeper.add(event)
    expect(keeper.holds("e1")).toBe(true)
    expect(keeper.holds("e2")).toBe(false)
    event.startedAt = 0
    await pass(LEASE_MS)
    expect(keeper.holds("e1")).toBe(false)
    event.startedAt = performance.now()
    event.isLost = true
    expect(keeper.holds("e1")).toBe(false)
    keeper.remove(event)
  })
})

describe("while it is being settled", () => {
  it("the lease does not move, and the event is still held", async () => {
    const { keeper, renew } = createLeaseKeeper()
    const event = { ...claimed(), startedAt: performance.now() + 200 }
    keeper.add(event)
    keeper.freeze(event)
    await pass(LEASE_MS)
    expect(renew).not.toHaveBeenCalled()
    expect(keeper.holds("e1")).toBe(true)
    await pass(200)
    expect(keeper.holds("e1")).toBe(false)
  })
})

describe("many renewals", () => {
  it("at most 20 are under way at once, those whose lease ends first before the others", async () => {
    const { keeper, renew } = createLeaseKeeper()
    let underWay = 0
    let most = 0
    renew.mockImplementation(async (lease, leaseEndsAt) => {
      most = Math.max(most, ++underWay)
      await delay(10)
      underWay--
      lease.leaseEndsAt = leaseEndsAt
      return true
    })
    const events = Array.from({ length: 500 }, (_, i) => claimed(NOW + 800 + ((i * 7) % 100)))
    for (const event of events) keeper.add(event)
    await pass(350)
    expect(most).toBe(20)
    const ends = renew.mock.calls
      .slice(0, 20)
      .map(([lease]) => events.findIndex((event) => event.lease === lease))
    expect(Math.max(...ends.map((i) => (i * 7) % 100))).toBeLessThan(20)
    await pass(400)
    expect(events.every(({ lease }) => lease.leaseEndsAt > NOW + LEASE_MS)).toBe(true)
  })
})

describe("a renewal that fails", () => {
  it.each([
    ["waits", 1],
    ["runs", 1],
    ["waits", 30],
    ["runs", 30],
  ])(
    "for just under half a lease costs nothing while the event %s (lease of %i s)",
    async (state, seconds) => {
      const leaseMs = seconds * 1000
      for (const [share, random] of [0.66, 0.69, 0.72, 0.74].flatMap((from) =>
        [0, 0.5, 0.999].map((r) => [from, r] as const),
      )) {
        const start = Date.now()
        vi.spyOn(Math, "random").mockReturnValue(random)
        // The failing stretch begins somewhere around the first renewal.
        const from = start + (1 - share) * leaseMs
        const renew = vi.fn(async (lease: Lease, leaseEndsAt: number) => {
          if (Date.now() >= from && Date.now() < from + 0.49 * leaseMs) throw new Error("throttled")
          lease.leaseEndsAt = leaseEndsAt
          return true
        })
        const keeper = new LeaseKeeper(renew, leaseMs, () => {})
        const event: LeasedEvent = claimed(start + leaseMs)
        if (state === "runs") event.startedAt = performance.now() + leaseMs / 10
        keeper.add(event)
        while (Date.now() < start + leaseMs) {
          await pass(leaseMs / 100)
          expect(event.lease.leaseEndsAt).toBeGreaterThan(Date.now())
        }
        keeper.remove(event)
      }
    },
  )

  it("leaves the claim as it is, and the next sweep tries again", async () => {
    const { keeper, renew } = createLeaseKeeper()
    renew.mockRejectedValueOnce(new Error("throttled"))
    const event = claimed()
    keeper.add(event)
    await pass(350)
    expect(renew).toHaveBeenCalledOnce()
    expect(event.isLost).toBeUndefined()
    await pass(50)
    expect(renew).toHaveBeenCalledTimes(2)
    expect(event.lease.leaseEndsAt).toBe(NOW + 1400)
  })

  it("is not sent again while its response is awaited", async () => {
    const { keeper, renew } = createLeaseKeeper()
    const answer = deferred<boolean>()
    renew.mockReturnValue(answer.promise)
    keeper.add(claimed())
    await pass(900)
    expect(renew).toHaveBeenCalledOnce()
    answer.resolve(true)
  })
})

describe("sweeps", () => {
  it("tell of each one, since time alone may change what can be done", async () => {
    const { keeper, onChange } = createLeaseKeeper()
    keeper.add(claimed(NOW + 60_000))
    await pass(1000)
    expect(onChange).toHaveBeenCalledTimes(20)
  })

  it("take place only while events are held, and do not keep the process alive", async () => {
    const { keeper } = createLeaseKeeper()
    const [first, second] = [claimed(), claimed()]
    const timers = vi.spyOn(globalThis, "setInterval")
    keeper.add(first)
    keeper.add(second)
    expect(vi.getTimerCount()).toBe(1)
    expect(timers.mock.results[0]?.value.hasRef()).toBe(false)
    keeper.remove(first)
    expect(vi.getTimerCount()).toBe(1)
    keeper.remove(second)
    expect(vi.getTimerCount()).toBe(0)
    keeper.add(first)
    expect(vi.getTimerCount()).toBe(1)
    keeper.remove(first)
  })
})
