/** Order, concurrency, and what is bounded. */
import { describe, expect, it, vi } from "vitest"
import { deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import { delay, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { createRelay, names } from "../test/relay.fixture.ts"

useFakeClock()

describe("order", () => {
  it("with concurrency 1 is that of the due times, whatever order claims are answered in, one handler at a time", async () => {
    const { table, life, started, onEvent, poll, seen } = createRelay()
    table.putAll(names(200))
    const claim = life.claim.getMockImplementation() as typeof life.claim
    let calls = 0
    life.claim.mockImplementation(async (row) => {
      const outcome = await claim(row)
      await delay((calls++ * 7) % 20)
      return outcome
    })
    life.complete.mockImplementation(async () => {
      await delay((calls * 11) % 50)
      return "delivered"
    })
    onEvent(() => delay((calls * 3) % 5))
    const done = poll()
    await pass(30_000)
    expect(await done).toBe("done")
    expect(started).toEqual(names(200))
    expect(seen.most).toBe(1)
  })

  it("with more concurrency is that in which handlers start", async () => {
    const { table, started, onEvent, poll } = createRelay({ concurrency: 5 })
    table.putAll(names(60))
    onEvent(() => delay(10))
    const done = poll()
    await pass(5000)
    await done
    expect(started).toEqual(names(60))
  })

  it("is kept over a handler that fails: the next one starts only after it has ended", async () => {
    const { table, life, started, onEvent, poll } = createRelay()
    table.putAll(["a", "b"])
    const first = deferred()
    onEvent(({ id }) => (id === "a" ? first.promise : Promise.resolve()))
    const done = poll()
    await pass()
    expect(started).toEqual(["a"])
    const boom = new Error("boom")
    first.reject(boom)
    await done
    expect(started).toEqual(["a", "b"])
    expect(life.fail).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ event: expect.objectContaining({ id: "a" }) }),
      boom,
    )
    expect(life.complete).toHaveBeenCalledOnce()
  })

  it("is kept over a handler that throws at once", async () => {
    const { table, life, poll, relay } = createRelay()
    table.putAll(["a"])
    await poll()
    table.putAll(["b"])
    const thrown = new Error("not even a promise")
    await relay.handleDue(() => {
      throw thrown
    }, 1000)
    expect(life.fail).toHaveBeenCalledExactlyOnceWith(expect.anything(), thrown)
  })
})

describe("concurrency", () => {
  it("is reached and never passed", async () => {
    const { table, started, onEvent, poll, seen } = createRelay({ concurrency: 7 })
    table.putAll(names(100))
    onEvent(() => delay(100))
    const done = poll()
    await pass(10_000)
    await done
    expect(started).toHaveLength(100)
    expect(seen.most).toBe(7)
  })

  it("is used up while one handler hangs: the others go on past it", async () => {
    const { table, started, onEvent, poll } = createRelay({ concurrency: 2 })
    table.putAll(names(30))
    onEvent(({ id }) => (id === "e0000" ? new Promise(() => {}) : Promise.resolve()))
    expect(await poll()).toBe("done")
    expect(started).toEqual(names(30))
    expect(table.in("completed")).toEqual(names(30).slice(1))
  })
})

describe("what is bounded", () => {
  /** The most events that were claimed, or about to be, without having been started. */
  const watchAhead = ({ life, started }: ReturnType<typeof createRelay>) => {
    const claim = life.claim.getMockImplementation() as typeof life.claim
    let most = 0
    life.claim.mockImplementation((row) => {
      most = Math.max(most, life.claim.mock.calls.length - started.length)
      return claim(row)
    })
    return () => most
  }

  it.each([
    [50, 24],
    [5, 5],
  ])("with batchSize %i, at most %i events are claimed ahead", async (batchSize, limit) => {
    const all = createRelay({ batchSize })
    all.table.putAll(names(300))
    all.table.latencyMs.claim = 90
    const ahead = watchAhead(all)
    all.onEvent(() => delay(1))
    const done = all.poll()
    await pass(30_000)
    await done
    expect(all.started).toHaveLength(300)
    expect(ahead()).toBe(limit)
  })

  it("with slow handlers, next to nothing is claimed ahead: events do not wait claimed", async () => {
    const all = createRelay()
    all.table.putAll(names(50))
    const ahead = watchAhead(all)
    all.onEvent(() => delay(400))
    const done = all.poll()
    await pass(30_000)
    await done
    expect(all.started).toHaveLength(50)
    expect(ahead()).toBeLessThanOrEqual(3)
  })

  it("when handlers become slow, ever fewer events are claimed ahead", async () => {
    const all = createRelay()
    all.table.putAll(names(200))
    all.table.latencyMs.claim = 20
    all.onEvent(({ id }) => delay(id < "e0100" ? 1 : 200))
    const done = all.poll()
    const waiting = () => all.life.claim.mock.calls.length - all.started.length
    let mostWhileFast = 0
    while (all.started.length < 100) {
      await pass(5)
      mostWhileFast = Math.max(mostWhileFast, waiting())
    }
    await pass(8000)
    expect(mostWhileFast).toBeGreaterThan(10)
    expect(waiting()).toBeLessThanOrEqual(2)
    await pass(30_000)
    await done
  })

  it("no more than a page is read ahead of what can be claimed", async () => {
    const { table, life, onEvent, poll, relay } = createRelay({ batchSize: 10 })
    table.putAll(names(500))
    const slow = deferred()
    onEvent(() => slow.promise)
    const done = poll()
    await pass(900)
    expect(life.due.mock.calls.length).toBeLessThanOrEqual(2)
    slow.resolve()
    await relay.stop()
    await done
  })

  it("while settling stands still, claims and handlers do too; afterwards each event has run exactly once", async () => {
    const { table, life, started, poll } = createRelay()
    table.putAll(names(130))
    const settle = deferred()
    life.complete.mockImplementation(async ({ lease }) => {
      await settle.promise
      const event = table.events.get(lease.id)
      if (event) event.status = "completed"
      return "delivered"
    })
    const done = poll()
    await pass(100)
    const { length } = started
    const reads = life.due.mock.calls.length
    expect(length).toBeGreaterThanOrEqual(32)
    expect(length).toBeLessThanOrEqual(32 + 24)
    await pass(100)
    expect(started).toHaveLength(length)
    expect(life.due.mock.calls.length).toBe(reads)
    settle.resolve()
    await done
    expect(started).toEqual(names(130))
    expect(life.claim).toHaveBeenCalledTimes(130)
  })

  it("no event is claimed twice though the last page is short and settling is slow", async () => {
    const { table, life, started, poll } = createRelay({ batchSize: 100 })
    table.latencyMs.claim = 5
    table.putAll(names(70))
    const settle = deferred<"delivered">()
    life.complete.mockImplementation(() => settle.promise)
    const done = poll()
    await pass(100)
    const reads = life.due.mock.calls.length
    expect(reads).toBe(1)
    settle.resolve("delivered")
    await pass(1000)
    await done
    expect(started).toEqual(names(70))
    expect(life.claim).toHaveBeenCalledTimes(70)
  })
})

describe("a poll", () => {
  it("reads once where nothing is due", async () => {
    const { life, poll } = createRelay()
    expect(await poll()).toBe("done")
    expect(life.due).toHaveBeenCalledExactlyOnceWith({ limit: 50 })
    expect(life.claim).not.toHaveBeenCalled()
  })

  it("with concurrency 1 ends when all is settled", async () => {
    const { table, life, poll } = createRelay()
    table.putAll(["a"])
    const settle = deferred<"delivered">()
    life.complete.mockImplementation(() => settle.promise)
    let isDone = false
    void poll().then(() => {
      isDone = true
    })
    await pass(500)
    expect(isDone).toBe(false)
    settle.resolve("delivered")
    await pass()
    expect(isDone).toBe(true)
  })

  it("claims nothing more after its time, and tells that there is more", async () => {
    const { table, life, started, onEvent, poll } = createRelay()
    table.putAll(names(100))
    onEvent(() => delay(100))
    const done = poll(1000)
    await pass(1050)
    const claims = life.claim.mock.calls.length
    await pass(5000)
    expect(await done).toBe("unfinished")
    expect(life.claim.mock.calls.length).toBe(claims)
    expect(started.length).toBe(claims)
    expect(table.in("completed")).toEqual(started)
  })

  it("with concurrency 1 ends after its time only when its handler has ended", async () => {
    const { table, onEvent, poll } = createRelay()
    table.putAll(["a"])
    onEvent(() => delay(800))
    let outcome: string | undefined
    void poll(100).then((result) => {
      outcome = result
    })
    await pass(700)
    expect(outcome).toBeUndefined()
    await pass(200)
    expect(outcome).toBe("unfinished")
  })

  it("goes on while a claim is under way, though nothing more is to be read", async () => {
    const { table, poll } = createRelay({ concurrency: 2 })
    table.putAll(["a"])
    table.latencyMs.claim = 100
    let isDone = false
    void poll().then(() => {
      isDone = true
    })
    await pass(99)
    expect(isDone).toBe(false)
    await pass(1)
    expect(isDone).toBe(true)
    expect(table.in("completed")).toEqual(["a"])
  })

  it("goes on in the next one where the last one ended", async () => {
    const { table, started, onEvent, poll } = createRelay()
    table.putAll(names(30))
    onEvent(() => delay(100))
    for (let polls = 0; polls < 10; polls++) {
      const done = poll(performance.now() + 500)
      await pass(2000)
      await done
    }
    expect(started).toEqual(names(30))
  })

  it("that is asked for while one runs is that one", async () => {
    const { table, life, started, onEvent, poll } = createRelay()
    table.putAll(["a"])
    onEvent(() => delay(100))
    const [first, second] = [poll(), poll()]
    await pass(200)
    expect(await Promise.all([first, second])).toEqual(["done", "done"])
    expect(started).toEqual(["a"])
    // From the start, and once more for what became due meanwhile.
    expect(life.due).toHaveBeenCalledTimes(2)
  })

  it("hands an item on to nobody that could not be read, and goes on behind it", async () => {
    const { table, life, started, poll } = createRelay()
    table.putAll(["a", "b", "c"])
    const claim = life.claim.getMockImplementation() as typeof life.claim
    life.claim.mockImplementation(async (row) => (row.id === "b" ? { kind: "unreadable" } : claim(row)))
    expect(await poll()).toBe("done")
    expect(started).toEqual(["a", "c"])
  })
})

describe("several workers", () => {
  it.each([
    [4, 400, 1],
    [3, 1000, 10],
  ])(
    "%i of them deliver each of %i events exactly once, with concurrency %i",
    async (count, events, concurrency) => {
      const random = vi.spyOn(Math, "random")
      for (let i = 0; i < 1000; i++) random.mockReturnValueOnce((i * 0.618) % 1)
      const first = createRelay({ concurrency })
      const workers = [
        first,
        ...Array.from({ length: count - 1 }, () => createRelay({ concurrency, table: first.table })),
      ]
      first.table.putAll(names(events))
      first.table.latencyMs = { due: 3, look: 2, claim: 2, renew: 2, release: 2, complete: 2, fail: 2 }
      for (const { onEvent } of workers) onEvent(() => delay(20))
      const pollUntilAllIsDone = async ({ poll }: (typeof workers)[number]) => {
        while (first.table.in("completed").length < events) {
          await delay((await poll()) === "unsure" ? 200 : 1000)
        }
      }
      const done = Promise.all(workers.map(pollUntilAllIsDone))
      await pass(60_000)
      await done
      expect(workers.flatMap(({ started }) => started).sort()).toEqual(names(events))
      expect(workers.every(({ started }) => started.length > 0)).toBe(true)
      const claims = workers.reduce((sum, { life }) => sum + life.claim.mock.calls.length, 0)
      expect(claims - events).toBeLessThan(events * 0.3)
    },
  )

  it("leave nothing claimed behind, and come to an end on an index that still shows everything", async () => {
    const { table, life, started, poll } = createRelay()
    table.putAll(names(120))
    table.index.delete = () => {}
    expect(await poll()).toBe("done")
    expect(started).toEqual(names(120))
    expect(await poll()).toBe("done")
    expect(life.claim).toHaveBeenCalledTimes(120)
  })
})
