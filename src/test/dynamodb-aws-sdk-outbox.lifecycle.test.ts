/** Start and stop. */
import { describe, expect, it, vi } from "vitest"
import { deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import { delay, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, holding, item } from "./outbox.fixture.ts"

useFakeClock()

/** Whether a promise has resolved by now. */
function watch(promise: Promise<unknown>) {
  const state = { isDone: false }
  void promise.then(() => {
    state.isDone = true
  })
  return state
}

/** Starts it with another handler, that takes some time; the ids that this one gets. */
function startAnew({ outbox }: ReturnType<typeof createOutbox>): string[] {
  const later: string[] = []
  outbox.start(
    async ({ id }) => {
      later.push(id)
      await delay(100)
    },
    () => {},
  )
  return later
}

describe("stop", () => {
  it("before start resolves, also twice, and start works afterwards", async () => {
    const all = createOutbox(holding(item("e1")))
    await all.outbox.stop()
    await all.outbox.stop()
    all.start()
    await pass()
    expect(all.handled).toEqual(["e1"])
    await all.outbox.stop()
  })

  it("waits for the handler that runs, starts no other, and releases what is only claimed", async () => {
    const all = createOutbox(holding(item("e1"), item("e2"), item("e3")))
    const running = deferred()
    all.onEvent(() => running.promise)
    all.start()
    await pass()
    const [first, second] = [watch(all.outbox.stop()), watch(all.outbox.stop())]
    await pass(1000)
    expect(first.isDone).toBe(false)
    running.resolve()
    await pass()
    expect([first.isDone, second.isDone]).toEqual([true, true])
    expect(all.handled).toEqual(["e1"])
    const ahead = all
      .inputsOf("claim")
      .map((input) => input.Key.id)
      .slice(1)
    expect(all.inputsOf("release").map((input) => input.Key.id)).toEqual(ahead)
    expect(all.inputsOf("complete")).toHaveLength(1)
  })

  it("ends polling: nothing more is sent, and no timer is left", async () => {
    const all = createOutbox()
    all.start()
    await pass(2500)
    await all.outbox.stop()
    const { length } = all.sent
    await pass(60_000)
    expect(all.sent).toHaveLength(length)
  })

  it("with a database that does not answer ends some seconds after the handlers have ended", async () => {
    const all = createOutbox({ ...holding(item("e1")), complete: () => new Promise(() => {}) })
    all.start()
    await pass()
    const stopped = watch(all.outbox.stop())
    await pass(12_000)
    expect(stopped.isDone).toBe(true)
  })

  it("during a failing poll ends", async () => {
    const query = deferred()
    const all = createOutbox({ due: () => query.promise })
    all.start()
    await pass()
    const stopped = watch(all.outbox.stop())
    query.reject(new Error("throttled"))
    await pass()
    expect(stopped.isDone).toBe(true)
  })
})

describe("start", () => {
  it("twice is one worker, with the handler and the onError of the first", async () => {
    const all = createOutbox(holding(item("e1")))
    const second = vi.fn(async () => {})
    all.onEvent(() => Promise.reject(new Error("boom")))
    all.start()
    all.outbox.start(second, second)
    await pass(500)
    expect(all.handled).toEqual(["e1"])
    expect(all.errors).toHaveLength(1)
    expect(second).not.toHaveBeenCalled()
    expect(all.inputsOf("stuck")).toHaveLength(1)
    await all.outbox.stop()
  })

  it("after stop delivers again, to the new handler", async () => {
    const all = createOutbox({ due: (_, call) => ({ Items: call < 3 ? [item(`e${call}`)] : [] }) })
    all.start()
    await pass()
    await all.outbox.stop()
    const { length } = all.handled
    const later: string[] = []
    all.outbox.start(
      async ({ id }) => void later.push(id),
      () => {},
    )
    await pass(5000)
    await all.outbox.stop()
    expect(all.handled).toHaveLength(length)
    expect([...all.handled, ...later]).toEqual(["e0", "e1", "e2"])
  })

  it("right after a stop that was not awaited: stop still resolves, and the old handler gets no further event", async () => {
    let next = 0
    const all = createOutbox({ due: () => ({ Items: [item(`e${next++}`), item(`e${next++}`)] }) })
    all.onEvent(() => delay(100))
    all.start()
    await pass(50)
    expect(all.handled).toEqual(["e0"])
    const stopped = watch(all.outbox.stop())
    const later = startAnew(all)
    await pass(2000)
    expect(all.handled).toEqual(["e0"])
    expect(stopped.isDone).toBe(true)
    expect(later.length).toBeGreaterThan(0)
    const ended = all.outbox.stop()
    await pass(1000)
    await ended
  })
})

describe("a start after a stop that was not awaited", () => {
  it("takes effect when the handlers that run have ended, with concurrency too", async () => {
    let next = 0
    const all = createOutbox(
      { due: () => ({ Items: next < 30 ? [item(`e${next++}`)] : [] }) },
      { concurrency: 3 },
    )
    const running = deferred()
    all.onEvent(() => running.promise)
    all.start()
    await pass(50)
    expect(all.handled).toHaveLength(3)
    const stopped = watch(all.outbox.stop())
    const later = startAnew(all)
    await pass(500)
    expect(later).toEqual([])
    running.resolve()
    await pass(2000)
    expect(stopped.isDone).toBe(true)
    expect(all.handled).toHaveLength(3)
    expect(later).toHaveLength(27)
    await all.outbox.stop()
  })

  it("lets the old poll deliver its page that was still at its maintenance, to the old handler", async () => {
    const maintenance = deferred()
    const all = createOutbox({
      stuck: (_, call) => (call === 0 ? maintenance.promise : {}),
      due: () => ({ Items: all.handled.length + later.length === 0 ? [item("e1")] : [] }),
    })
    const later: string[] = []
    all.start()
    await pass()
    const stopped = watch(all.outbox.stop())
    all.outbox.start(
      async ({ id }) => {
        later.push(id)
      },
      () => {},
    )
    maintenance.resolve()
    await pass(100)
    expect(stopped.isDone).toBe(true)
    expect(all.handled).toEqual(["e1"])
    expect(later).toEqual([])
    await all.outbox.stop()
  })

  it("and stopped again delivers a page first, as any start does", async () => {
    let next = 1
    const all = createOutbox({ due: () => ({ Items: next < 3 ? [item(`e${next++}`)] : [] }) })
    const running = deferred()
    all.onEvent(() => running.promise)
    all.start()
    await pass()
    const first = all.outbox.stop()
    const later = startAnew(all)
    await pass()
    const second = watch(all.outbox.stop())
    await pass(1000)
    expect(second.isDone).toBe(false)
    running.resolve()
    await pass(5000)
    await first
    expect(second.isDone).toBe(true)
    expect(all.handled).toEqual(["e1"])
    expect(later).toEqual(["e2"])
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe("stop inside a handler", () => {
  const stopInHandler = (afterStop: () => Promise<void>) => {
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
    const all = createOutbox(holding(item("e1"), item("e2")), { concurrency: 2 })
    all.onEvent(async ({ id }) => {
      if (id === "e2") return delay(500)
      await delay(5)
      await all.outbox.stop()
      await afterStop()
    })
    all.start()
    return { ...all, warning }
  }

  it("resolves at once, with a warning; the outbox stops, and every result is written", async () => {
    let hasResolved = false
    const all = stopInHandler(async () => {
      hasResolved = true
      await delay(100)
    })
    await pass(10)
    expect(hasResolved).toBe(true)
    expect(all.warning.mock.calls).toEqual([
      [
        expect.stringMatching(/^stop\(\) was called inside a handler/),
        expect.objectContaining({ code: "OUTBOX_STOP_INSIDE_HANDLER" }),
      ],
    ])
    // Somebody else's waits for both handlers.
    const stopped = watch(all.outbox.stop())
    await pass(400)
    expect(stopped.isDone).toBe(false)
    await pass(200)
    expect(stopped.isDone).toBe(true)
    expect(all.inputsOf("complete").map(({ Key }) => Key.id)).toEqual(["e1", "e2"])
    expect(vi.getTimerCount()).toBe(0)
  })

  it("of a delivery that was stopped before another start and stop does not wait for itself either", async () => {
    vi.spyOn(process, "emitWarning").mockImplementation(() => {})
    let hasResolved = false
    const all = createOutbox(holding(item("e1")))
    all.onEvent(async () => {
      await delay(100)
      await all.outbox.stop()
      hasResolved = true
    })
    all.start()
    await pass(10)
    void all.outbox.stop()
    all.start()
    const stopped = watch(all.outbox.stop())
    await pass(10_000)
    expect(hasResolved).toBe(true)
    expect(stopped.isDone).toBe(true)
  })

  it("that has ended waits like any other", async () => {
    let later: Promise<void> | undefined
    const all = createOutbox(holding(item("e1"), item("e2")), { concurrency: 2 })
    all.onEvent(async ({ id }) => {
      if (id === "e1") later = delay(100).then(() => all.outbox.stop())
      else await delay(500)
    })
    all.start()
    await pass(10)
    const stopped = watch(later as Promise<void>)
    await pass(400)
    expect(stopped.isDone).toBe(false)
    await pass(200)
    expect(stopped.isDone).toBe(true)
  })
})
