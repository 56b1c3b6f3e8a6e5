import { ValidationError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { NOW, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
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
    const ended = durations.started()
    await pass(300)
    ended()
    const limit = limitOf({ deadline: new Date(NOW + 300 + 2000) }, durations)
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
    ["signal", { signal: "abort" as never }],
    ["signal", { signal: null as never }],
  ])("refuses a %s that is none: %o", (name, bounds) => {
    expect(() => limitOf(bounds)).toThrow(ValidationError)
    expect(() => limitOf(bounds)).toThrow(`Invalid ${name}: `)
  })
})

describe("the durations of handlers", () => {
  async function run(durations: HandlerDurations, ms: number) {
    const ended = durations.started()
    await pass(ms)
    ended()
  }

  it("are those of the last ones, and of those that run", async () => {
    const durations = new HandlerDurations()
    expect(durations.longest).toBe(0)
    await run(durations, 50)
    await run(durations, 20)
    expect(durations.longest).toBe(50)
    const first = durations.started()
    await pass(40)
    const second = durations.started()
    await pass(30)
    expect(durations.longest).toBe(70)
    second()
    await pass(10)
    first()
    expect(durations.longest).toBe(80)
  })

  it("are forgotten after 100 to 200 further ones, or when nothing could start because of them", async () => {
    const durations = new HandlerDurations()
    await run(durations, 500)
    for (let i = 0; i < 150; i++) await run(durations, 1)
    expect(durations.longest).toBe(500)
    for (let i = 0; i < 50; i++) await run(durations, 1)
    expect(durations.longest).toBe(1)
    durations.forget()
    expect(durations.longest).toBe(0)
  })
})
