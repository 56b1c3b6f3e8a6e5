/** Stopping, starting again, and what fails on the way. */
import { describe, expect, it, vi } from "vitest"
import { deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import { LEASE_MS } from "../test/event-operations.fixture.ts"
import { delay, NOW, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { createRelay, names } from "../test/relay.fixture.ts"

useFakeClock()

/** Whether a promise has resolved by now. */
function watch(promise: Promise<unknown>) {
  const state = { isDone: false }
  void promise.then(() => {
    state.isDone = true
  })
  return state
}

describe("stop", () => {
  it("before anything has begun resolves at once, also twice", async () => {
    const { relay } = createRelay()
    await relay.stop()
    await relay.stop()
  })

  it("starts no handler more, waits for the one that runs, and releases what is only claimed", async () => {
    const { table, life, relay, started, onEvent, poll } = createRelay()
    table.putAll(names(100))
    const last = deferred()
    onEvent(({ id }) => (id === "e0030" ? last.promise : delay(1)))
    const done = poll()
    await pass(500)
    expect(started.at(-1)).toBe("e0030")
    const ahead = table.in("active").filter((id) => id !== "e0030")
    expect(ahead.length).toBeGreaterThan(0)

    const stopped = watch(relay.stop())
    await pass(500)
    expect(stopped.isDone).toBe(false)
    expect(table.in("active")).toEqual(["e0030"])
    expect(life.release.mock.calls.map(([claim]) => claim.lease.id)).toEqual(ahead)

    last.resolve()
    await pass()
    expect(stopped.isDone).toBe(true)
    expect(await done).toBe("done")
    expect(started).toEqual(names(31))
    expect(table.in("completed")).toEqual(names(31))
    expect(table.in("created")).toEqual(names(100).slice(31))
  })

  it("releases also what is being claimed at that moment", async () => {
    const { table, relay, started, poll } = createRelay()
    table.putAll(["a"])
    table.latencyMs.claim = 100
    const done = poll()
    await pass(50)
    const stopped = watch(relay.stop())
    await pass(40)
    expect(stopped.isDone).toBe(false)
    await pass(20)
    expect(stopped.isDone).toBe(true)
    await done
    expect(started).toEqual([])
    expect(table.in("created")).toEqual(["a"])
  })

  it("claims nothing of a page that arrives after it", async () => {
    const { table, life, relay, poll } = createRelay()
    table.putAll(["a"])
    table.latencyMs.due = 100
    const done = poll()
    await pass(50)
    const stopped = relay.stop()
    await pass(60)
    await Promise.all([stopped, done])
    expect(life.claim).not.toHaveBeenCalled()
  })

  it("waits for handlers that run on after their poll, and for what they settle", async () => {
    const { table, relay, onEvent, poll } = createRelay({ concurrency: 5 })
    table.putAll(["a", "b"])
    const [a, b] = [deferred(), deferred()]
    onEvent(({ id }) => (id === "a" ? a.promise : b.promise))
    table.latencyMs.complete = 50
    table.latencyMs.fail = 50
    expect(await poll()).toBe("done")
    const stopped = watch(relay.stop())
    a.resolve()
    await pass(60)
    expect(stopped.isDone).toBe(false)
    b.reject(new Error("boom"))
    await pass(40)
    expect(stopped.isDone).toBe(false)
    await pass(20)
    expect(stopped.isDone).toBe(true)
    expect(table.in("completed")).toEqual(["a"])
    expect(table.in("failed")).toEqual(["b"])
  })

  it("resolves each of several calls", async () => {
    const { table, relay, onEvent, poll } = createRelay()
    table.putAll(["a"])
    onEvent(() => delay(100))
    const done = poll()
    await pass(10)
    const both = watch(Promise.all([relay.stop(), relay.stop()]))
    await pass(200)
    expect(both.isDone).toBe(true)
    await done
  })

  it("keeps later polls from starting anything", async () => {
    const { table, life, relay, started, poll } = createRelay()
    table.putAll(["a"])
    await relay.stop()
    expect(await poll()).toBe("done")
    expect(life.due).not.toHaveBeenCalled()
    expect(started).toEqual([])
  })

  it("leaves no timer behind", async () => {
    const { table, relay, onEvent, poll } = createRelay({ concurrency: 3 })
    table.putAll(names(20))
    onEvent(() => delay(300))
    const done = poll()
    await pass(400)
    const stopped = relay.stop()
    await pass(1000)
    await Promise.all([stopped, done])
    expect(table.in("active")).toEqual([])
    expect([...table.in("completed"), ...table.in("created")].sort()).toEqual(names(20))
  })
})

describe("a failing read or claim", () => {
  it("of a read is reported once, and is no failure of a poll that has got something done; nothing is lost", async () => {
    const { table, life, started, onEvent, poll } = createRelay()
    table.putAll(names(120))
    const due = life.due.getMockImplementation() as typeof life.due
    let reads = 0
    life.due.mockImplementation(async (request) => {
      if (++reads === 2) throw new Error("throttled")
      return due(request)
    })
    onEvent(() => delay(1))
    const first = poll()
    await pass(5000)
    expect(await first).toBe("unsure")
    expect(life.interrupted).toHaveBeenCalledExactlyOnceWith(new Error("throttled"))
    expect(table.in("active")).toEqual([])
    expect(table.in("completed")).toEqual(started)
    const second = poll()
    await pass(5000)
    expect(await second).toBe("done")
    expect(started).toEqual(names(120))
  })

  it("of a read ends the poll with its error where nothing has succeeded", async () => {
    const { life, poll } = createRelay()
    life.due.mockRejectedValueOnce(new Error("throttled"))
    await expect(poll()).rejects.toThrow("throttled")
    expect(life.interrupted).not.toHaveBeenCalled()
  })

  it.each([1, 5])(
    "of some claims, with concurrency %i, stops no other: their rows are named once and retried later",
    async (concurrency) => {
      const { table, life, started, poll } = createRelay({ concurrency })
      table.putAll(names(60))
      const bad = new Set(names(60).filter((_, i) => i < 7 || i % 20 === 0))
      const claim = life.claim.getMockImplementation() as typeof life.claim
      life.claim.mockImplementation(async (row) => {
        await delay(5)
        if (bad.has(row.id)) throw new Error("denied")
        return claim(row)
      })
      const good = names(60).filter((id) => !bad.has(id))
      const first = poll()
      await pass(5000)
      expect(await first).toBe("done")
      expect([...started].sort()).toEqual(good)
      const reported = () => life.claimFailed.mock.calls.map(([{ id }]) => id).sort()
      expect(reported()).toEqual([...bad])

      for (let polls = 0; polls < 5; polls++) {
        table.put({ id: `later${polls}` })
        const done = poll()
        await pass(5000)
        expect(await done).toBe("done")
      }
      expect(started).toHaveLength(good.length + 5)
      expect(reported()).toEqual([...bad])

      bad.clear()
      await pass(30_000)
      const last = poll()
      await pass(5000)
      await last
      expect(table.in("completed")).toHaveLength(65)
    },
  )

  it("of every claim ends the poll with the first error; once the database is there again, all are handled", async () => {
    const { table, life, started, poll } = createRelay()
    table.putAll(names(3))
    let calls = 0
    life.claim.mockImplementation(async () => {
      throw new Error(`no ${calls++}`)
    })
    await expect(poll()).rejects.toThrow("no 0")
    expect(life.claim).toHaveBeenCalledTimes(3)
    expect(life.claimFailed).not.toHaveBeenCalled()
    life.claim.mockImplementation(table.life().claim)
    await pass(1000)
    expect(await poll()).toBe("done")
    expect(started).toEqual(names(3))
  })

  it("of the only event fails one poll, and is then the event's own: no backoff holds up what comes later", async () => {
    const { table, life, poll } = createRelay()
    table.putAll(["bad"])
    life.claim.mockRejectedValue(new Error("denied"))
    await expect(poll()).rejects.toThrow("denied")
    for (let polls = 0; polls < 3; polls++) {
      await pass(10_000)
      expect(await poll()).toBe("done")
    }
    expect(life.claimFailed).toHaveBeenCalledOnce()
  })

  it("of a stop under way is not held up by it", async () => {
    const { table, life, relay, poll } = createRelay()
    table.putAll(["a"])
    const read = deferred<never>()
    life.due.mockReturnValue(read.promise)
    const failure = expect(poll()).rejects.toThrow("throttled")
    const stopped = watch(relay.stop())
    await pass()
    expect(stopped.isDone).toBe(false)
    read.reject(new Error("throttled"))
    await failure
    await pass()
    expect(stopped.isDone).toBe(true)
  })
})

describe("leases", () => {
  it("of events that wait their turn are renewed", async () => {
    const { table, life, started, onEvent, poll } = createRelay()
    table.putAll(names(40))
    onEvent(({ id }) => delay(id === "e0020" ? LEASE_MS * 0.9 : 1))
    const done = poll()
    await pass(10_000)
    await done
    expect(life.renew).toHaveBeenCalled()
    expect(started).toEqual(names(40))
    expect(table.in("completed")).toEqual(names(40))
  })

  it("that ended while the process was frozen are renewed before the handler starts", async () => {
    const { table, life, started, onEvent, poll } = createRelay()
    table.putAll(names(20))
    onEvent(({ id }) => (id === "e0010" ? delay(10) : Promise.resolve()))
    const done = poll(performance.now() + 8)
    await pass(5)
    expect(started.at(-1)).toBe("e0010")
    const waiting = table.in("active").filter((id) => id !== "e0010")
    expect(waiting.length).toBeGreaterThan(0)
    vi.setSystemTime(Date.now() + 60_000)
    await pass(100)
    expect(await done).toBe("unfinished")
    expect(life.renew.mock.calls.map(([{ id }]) => id)).toEqual(expect.arrayContaining(waiting))
    expect(started).toEqual(names(11 + waiting.length))
  })

  it("that were lost meanwhile: their events are dropped, not delivered", async () => {
    const { table, life, relay, handler, started, onEvent } = createRelay()
    table.putAll(names(20))
    onEvent(({ id }) => (id === "e0010" ? delay(10) : Promise.resolve()))
    const done = relay.handleDue(handler, 1_000_000)
    await pass(5)
    const [lost = "", ...kept] = table.in("active").filter((id) => id !== "e0010")
    vi.setSystemTime(Date.now() + 60_000)
    table.takeAway(lost)
    await pass(100)
    expect(await done).toBe("done")
    expect(started).not.toContain(lost)
    expect(started).toEqual(expect.arrayContaining(kept))
    expect(life.fail).not.toHaveBeenCalled()
    expect(life.release).not.toHaveBeenCalled()
  })

  it("that can't be renewed keep the handler from starting, until they can", async () => {
    const { table, life, started, onEvent, poll } = createRelay()
    table.putAll(["a", "b"])
    life.claim.mockImplementationOnce(async ({ id }) => ({
      kind: "won",
      claim: {
        lease: { id, token: "t", leaseEndsAt: NOW, dueAt: NOW },
        event: { id, type: "t", payload: 1, occurredAt: new Date(NOW) },
        occurredAt: new Date(NOW),
        storedOccurredAt: new Date(NOW).toISOString(),
        retryCount: 0,
        crashCount: 0,
        isLastAttempt: false,
        hasFewAttempts: false,
      },
    }))
    life.renew.mockImplementation(async (lease, leaseEndsAt) => {
      if (Date.now() < NOW + 100) throw new Error("throttled")
      lease.leaseEndsAt = leaseEndsAt
      return true
    })
    onEvent(() => delay(1))
    const done = poll()
    await pass(10)
    expect(started).toEqual([])
    await pass(LEASE_MS)
    await done
    expect(started).toEqual(["a", "b"])
  })
})
