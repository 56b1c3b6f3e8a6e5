import { describe, expect, it, vi } from "vitest"
import { allPromisesRun, deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import { useFakeClock } from "../test/fake-clock.fixture.ts"
import { IndexRows, rowsDue } from "../test/index-rows.fixture.ts"
import type { StuckEvents } from "./event-operations.ts"
import { Recovery } from "./recovery.ts"

useFakeClock()

const create = (count = 0, isHeldHere = (_id: string) => false) => {
  const stuckEvents = vi.fn(new IndexRows(rowsDue(count)).read)
  const recovered: string[] = []
  const recover = vi.fn<StuckEvents["recover"]>(async ({ id }) => {
    recovered.push(id)
    return "retried"
  })
  const recoveryFailed = vi.fn()
  const recovery = new Recovery(
    { stuck: stuckEvents, recover, recoveryFailed },
    { intervalMs: 15_000, batchSize: 50 },
    isHeldHere,
  )
  return { recovery, stuckEvents, recover, recovered, recoveryFailed }
}

describe("when it looks", () => {
  it("is at once, and then only as often as leases need it", async () => {
    const { recovery, stuckEvents } = create()
    await recovery.runIfDue()
    await recovery.runIfDue()
    expect(stuckEvents).toHaveBeenCalledOnce()
    vi.advanceTimersByTime(14_999)
    await recovery.runIfDue()
    expect(stuckEvents).toHaveBeenCalledOnce()
    vi.advanceTimersByTime(1)
    await recovery.runIfDue()
    expect(stuckEvents).toHaveBeenCalledTimes(2)
  })

  it("is in time although the clock was set back", async () => {
    const { recovery, stuckEvents } = create()
    await recovery.runIfDue()
    vi.setSystemTime(Date.now() - 3_600_000)
    vi.advanceTimersByTime(15_000)
    await recovery.runIfDue()
    expect(stuckEvents).toHaveBeenCalledTimes(2)
  })

  it("passes over what this process still holds in time", async () => {
    const ids = rowsDue(3).map(({ id }) => id)
    const { recovery, recovered } = create(3, (id) => id === ids[1])
    await recovery.runIfDue()
    expect(recovered).toEqual([ids[0], ids[2]])
  })

  it("is at once again after a look that failed", async () => {
    const { recovery, stuckEvents } = create(1)
    stuckEvents.mockRejectedValueOnce(new Error("throttled"))
    await expect(recovery.runIfDue()).rejects.toThrow("throttled")
    await recovery.runIfDue()
    expect(stuckEvents).toHaveBeenCalledTimes(2)
  })
})

describe("a stop", () => {
  it("waits for the recoveries under way, begins no other, and reads no further page", async () => {
    const { recovery, stuckEvents, recover } = create(120)
    const { promise, resolve } = deferred<undefined>()
    recover.mockImplementation(() => promise)
    const running = recovery.runIfDue()
    await allPromisesRun()
    recovery.stop()
    resolve(undefined)
    await running
    expect(recover).toHaveBeenCalledTimes(10)
    expect(stuckEvents).toHaveBeenCalledOnce()
  })

  it("keeps it from looking at all", async () => {
    const { recovery, stuckEvents } = create(3)
    recovery.stop()
    await recovery.runIfDue()
    expect(stuckEvents).not.toHaveBeenCalled()
  })
})

describe("what it finds", () => {
  it.each([0, 1, 50, 120])("is recovered, all of %i events, page by page", async (count) => {
    const { recovery, stuckEvents, recovered } = create(count)
    await recovery.runIfDue()
    expect(recovered.sort()).toEqual(rowsDue(count).map(({ id }) => id))
    expect(stuckEvents.mock.calls.every(([{ limit }]) => limit === 50)).toBe(true)
    expect(stuckEvents).toHaveBeenCalledTimes(Math.floor(count / 50) + 1)
  })

  it("is recovered ten at a time", async () => {
    const { recovery, recover } = create(25)
    const gates = Array.from({ length: 25 }, () => deferred<undefined>())
    let started = 0
    recover.mockImplementation(() => gates[started++]?.promise as Promise<undefined>)
    const run = recovery.runIfDue()
    await allPromisesRun()
    expect(started).toBe(10)
    gates[3]?.resolve(undefined)
    await allPromisesRun()
    expect(started).toBe(11)
    for (const gate of gates) gate.resolve(undefined)
    await run
    expect(started).toBe(25)
  })

  it("is seen to although some fail; these are reported once, and do not make each poll look again", async () => {
    const { recovery, stuckEvents, recover, recovered, recoveryFailed } = create(60)
    recover.mockImplementation(async ({ id }) => {
      if (["e0003", "e0055"].includes(id)) throw new Error(`no ${id}`)
      recovered.push(id)
      return "retried"
    })
    for (let look = 0; look < 3; look++) {
      await recovery.runIfDue()
      vi.advanceTimersByTime(15_000)
    }
    expect(recovered).toHaveLength(58 * 3)
    expect(recoveryFailed.mock.calls.map(([{ id }]) => id)).toEqual(["e0003", "e0055"])
    expect(stuckEvents).toHaveBeenCalledTimes(6)
  })

  it("has failed if several are there and none can be recovered: then the database is not there", async () => {
    const { recovery, recover, recoveryFailed } = create(60)
    recover.mockRejectedValue(new Error("throttled"))
    await expect(recovery.runIfDue()).rejects.toThrow("throttled")
    expect(recoveryFailed).not.toHaveBeenCalled()
  })
})
