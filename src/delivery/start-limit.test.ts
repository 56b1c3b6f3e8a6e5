import { ValidationError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { delay, NOW, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { HandlerDurations } from "./handler-durations.ts"
import { type DrainBounds, DrainLimit, LastPage } from "./start-limit.ts"

useFakeClock()

const limitOf = (bounds: DrainBounds = {}, durations = new HandlerDurations()) =>
  new DrainLimit(bounds, durations)

describe("a last page", () => {
  it("leaves room for so many handlers, and for so long", async () => {
    const page = new LastPage(2, 1000)
    expect(page.isLastPoll).toBe(true)
    page.started()
    expect(page.room).toBe(1)
    await pass(999)
    expect(page.room).toBe(1)
    await pass(1)
    expect(page.room).toBe(0)
  })
})

describe("the limit of a drain", () => {
  it("without bounds, leaves room for ever", () => {
    const limit = limitOf()
    expect(limit).toMatchObject({ room: Number.POSITIVE_INFINITY, isReached: undefined, isLastPoll: false })
    expect(limit.leftMs).toBe(Number.POSITIVE_INFINITY)
  })

  it("counts what has started", () => {
    const limit = limitOf({ maxEvents: 2 })
    limit.started()
    expect(limit).toMatchObject({ room: 1, isReached: undefined, startedCount: 1 })
    limit.started()
    expect(limit).toMatchObject({ room: 0, isReached: "limit", startedCount: 2 })
  })

  it("keeps half a second before the deadline, and as long as handlers take", async () => {
    const durations = new HandlerDurations()
    durations.add(300)
    const limit = limitOf({ deadline: new Date(NOW + 2000) }, durations)
    expect(limit).toMatchObject({
      leftMs: 2000,
      leftToHandleMs: 1500,
      leftToStartMs: 1200,
      isReached: undefined,
    })
    await pass(1199)
    expect(limit.isReached).toBeUndefined()
    await pass(1)
    expect(limit).toMatchObject({ isReached: "deadline", room: 0 })
  })

  it("asks a function anew each time", () => {
    let left = 5000
    const limit = limitOf({ deadline: () => left })
    expect(limit.leftMs).toBe(5000)
    left = 500
    expect(limit.isReached).toBe("deadline")
  })

  it("is reached when the function does not tell any more", () => {
    const tell = vi.fn(() => 5000)
    const limit = limitOf({ deadline: tell })
    expect(limit.isReached).toBeUndefined()
    tell.mockReturnValue(Number.NaN)
    expect(limit).toMatchObject({ leftMs: 0, isReached: "deadline" })
    tell.mockImplementation(() => {
      throw new Error("no context")
    })
    expect(limit).toMatchObject({ leftMs: 0, isReached: "deadline" })
    expect(() => limitOf({ deadline: tell })).toThrow("no context")
  })

  it("is reached when the signal fires, or it is aborted, and says so until nobody wants to know", () => {
    const controller = new AbortController()
    const limit = limitOf({ signal: controller.signal, maxEvents: 1 })
    const [callback, unwanted] = [vi.fn(), vi.fn()]
    limit.onAbort(callback)
    limit.onAbort(unwanted)()
    limit.started()
    controller.abort()
    expect(limit.isReached).toBe("aborted")
    expect(callback).toHaveBeenCalledOnce()
    expect(unwanted).not.toHaveBeenCalled()
    const stopped = limitOf()
    stopped.onAbort(callback)()
    stopped.abort()
    expect(stopped).toMatchObject({ isReached: "aborted", room: 0 })
  })

  it.each<[string, DrainBounds]>([
    ["maxEvents", { maxEvents: 0 }],
    ["maxEvents", { maxEvents: 2.5 }],
    ["maxEvents", { maxEvents: Number.NEGATIVE_INFINITY }],
    ["maxEvents", { maxEvents: "5" as never }],
    ["deadline", { deadline: new Date("never") }],
    ["deadline", { deadline: 1000 as never }],
    ["deadline", { deadline: () => Number.NaN }],
    ["dueForMs", { dueForMs: -1 }],
    ["dueForMs", { dueForMs: Number.POSITIVE_INFINITY }],
    ["signal", { signal: "abort" as never }],
    ["signal", { signal: null as never }],
  ])("refuses a %s that is none: %o", (name, bounds) => {
    expect(() => limitOf(bounds)).toThrow(ValidationError)
    expect(() => limitOf(bounds)).toThrow(`Invalid ${name}: `)
  })
})

describe("the durations of handlers", () => {
  it("are those of the last 100 to 200", () => {
    const durations = new HandlerDurations()
    expect(durations.longest).toBe(0)
    durations.add(500)
    for (let i = 0; i < 150; i++) durations.add(1)
    expect(durations.longest).toBe(500)
    for (let i = 0; i < 50; i++) durations.add(1)
    expect(durations.longest).toBe(1)
    durations.add(70)
    durations.forget()
    expect(durations.longest).toBe(0)
  })

  it("are noted, also of those that fail", async () => {
    const durations = new HandlerDurations()
    const limit = limitOf({}, durations)
    const handler = limit.timed(async (ms: number) => {
      await delay(ms)
      throw new Error("no")
    })
    const failed = [handler(50), handler(200)].map((run) => expect(run).rejects.toThrow("no"))
    await pass(60)
    expect(durations.longest).toBe(50)
    expect(limit.runningCount).toBe(1)
    await pass(140)
    await Promise.all(failed)
    expect(durations.longest).toBe(200)
    expect(limit.runningCount).toBe(0)
  })

  it("are those of handlers that have ended: one that never does holds up nobody", async () => {
    const durations = new HandlerDurations()
    const first = limitOf({}, durations)
    const running = first.timed(() => delay(60_000))(undefined)
    await pass(4000)
    first.end()
    const next = limitOf({ deadline: new Date(NOW + 4000 + 3000) }, durations)
    expect(next.isReached).toBeUndefined()
    // One that outlasts its drain tells nothing when it ends: the process may have been suspended.
    await pass(60_000)
    await running
    expect(durations.longest).toBe(0)
  })
})
