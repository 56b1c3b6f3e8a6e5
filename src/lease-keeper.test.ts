import { describe, expect, it, vi } from "vitest"
import { deferred } from "../packages/outbox-event-bus/src/deferred.fixture.ts"
import { NOW, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { type HeldEvent, LeaseKeeper } from "./lease-keeper.ts"
import type { Hold } from "./transitions.ts"

const LEASE_MS = 1000

useFakeClock()

const claimed = (leaseEndsAt = Date.now() + LEASE_MS): HeldEvent => ({
  hold: { id: "e1", token: "t1", leaseEndsAt, dueAt: NOW },
  suspicion: "none",
})

const create = () => {
  const renew = vi.fn(async (hold: Hold, leaseEndsAt: number) => {
    await Promise.resolve()
    hold.leaseEndsAt = leaseEndsAt
    return true
  })
  const onChange = vi.fn()
  return { renew, onChange, keeper: new LeaseKeeper(renew, LEASE_MS, onChange) }
}

describe("while an event waits its turn", () => {
  it("its lease is renewed when less than half is left, again and again", async () => {
    const { keeper, renew } = create()
    const event = claimed()
    keeper.add(event)
    await pass(500)
    expect(renew).not.toHaveBeenCalled()
    await pass(250)
    expect(renew).toHaveBeenCalledExactlyOnceWith(event.hold, NOW + 1750)
    await pass(10_000)
    expect(event.hold.leaseEndsAt - Date.now()).toBeGreaterThanOrEqual(LEASE_MS / 4)
  })

  it("an event that is handled at once costs no renewal", async () => {
    const { keeper, renew } = create()
    const event = claimed()
    keeper.add(event)
    await pass(400)
    keeper.remove(event)
    await pass(5000)
    expect(renew).not.toHaveBeenCalled()
  })
})

describe("while its handler runs", () => {
  it("its lease is renewed once, to the end of the handler's own time, and then left to recovery", async () => {
    const { keeper, renew } = create()
    const event = claimed()
    keeper.add(event)
    await pass(300)
    event.startedAt = performance.now()
    await pass(10_000)
    expect(renew).toHaveBeenCalledExactlyOnceWith(event.hold, NOW + 300 + LEASE_MS)
    expect(event.isLost).toBe(false)
  })

  it("its lease is not renewed any more when its own time is over, though no renewal has succeeded", async () => {
    const { keeper, renew } = create()
    renew.mockRejectedValue(new Error("throttled"))
    const event = claimed()
    keeper.add(event)
    event.startedAt = 100
    await pass(LEASE_MS)
    const { length } = renew.mock.calls
    expect(length).toBeGreaterThan(0)
    await pass(100)
    await pass(10_000)
    expect(renew).toHaveBeenCalledTimes(length)
  })

  it("no renewal is needed where it started with its claim", async () => {
    const { keeper, renew } = create()
    const event = { ...claimed(), startedAt: 0 }
    keeper.add(event)
    await pass(10_000)
    expect(renew).not.toHaveBeenCalled()
  })

  it("it is overdue from the end of its own time on", async () => {
    const { keeper } = create()
    expect(keeper.isOverdue(claimed())).toBe(false)
    const event = { ...claimed(), startedAt: 0 }
    await pass(LEASE_MS - 1)
    expect(keeper.isOverdue(event)).toBe(false)
    await pass(1)
    expect(keeper.isOverdue(event)).toBe(true)
  })
})

describe("before a handler starts", () => {
  it("the lease is long enough while a quarter is left", () => {
    const { keeper, renew } = create()
    expect(keeper.isSafeToStart(claimed(NOW + 250))).toBe(true)
    expect(renew).not.toHaveBeenCalled()
  })

  it("a shorter one is renewed first, and the change is told", async () => {
    const { keeper, renew, onChange } = create()
    const event = claimed(NOW + 249)
    expect(keeper.isSafeToStart(event)).toBe(false)
    expect(keeper.isSafeToStart(event)).toBe(false)
    await pass()
    expect(renew).toHaveBeenCalledExactlyOnceWith(event.hold, NOW + LEASE_MS)
    expect(onChange).toHaveBeenCalledOnce()
    expect(keeper.isSafeToStart(event)).toBe(true)
  })

  it("one that ended while the process was frozen is lost if another worker has the event by now", async () => {
    const { keeper, renew, onChange } = create()
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
    const { keeper, renew } = create()
    const event = claimed()
    keeper.add(event)
    vi.setSystemTime(NOW - 3_600_000)
    await pass(750)
    expect(renew).toHaveBeenCalledExactlyOnceWith(event.hold, NOW + 750 + LEASE_MS)
    await pass(750)
    expect(renew).toHaveBeenLastCalledWith(event.hold, NOW + 1500 + LEASE_MS)
    keeper.remove(event)
  })
})

describe("what this worker holds", () => {
  it("is what it has claimed and what runs in time, but not what is lost or overdue", async () => {
    const { keeper } = create()
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

describe("a renewal that fails", () => {
  it("leaves the claim as it is, and the next sweep tries again", async () => {
    const { keeper, renew } = create()
    renew.mockRejectedValueOnce(new Error("throttled"))
    const event = claimed()
    keeper.add(event)
    await pass(750)
    expect(renew).toHaveBeenCalledOnce()
    expect(event.isLost).toBeUndefined()
    await pass(250)
    expect(renew).toHaveBeenCalledTimes(2)
    expect(event.hold.leaseEndsAt).toBe(NOW + 2000)
  })

  it("is not sent again while its answer is awaited", async () => {
    const { keeper, renew } = create()
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
    const { keeper, onChange } = create()
    keeper.add(claimed(NOW + 60_000))
    await pass(1000)
    expect(onChange).toHaveBeenCalledTimes(4)
  })

  it("take place only while events are held, and do not keep the process alive", async () => {
    const { keeper } = create()
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
