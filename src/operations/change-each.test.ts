import { OperationalError, ValidationError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { delay, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { changeEach } from "./change-each.ts"

useFakeClock()

async function* ids(count: number) {
  for (let i = 0; i < count; i++) yield `e${i}`
}

describe("long work", () => {
  it("changes each once, ten at a time, and counts what was not as it had to be", async () => {
    let running = 0
    let most = 0
    const changed: string[] = []
    const onProgress = vi.fn()
    const work = changeEach(ids(25), { onProgress }, async (id) => {
      most = Math.max(most, ++running)
      await delay(10)
      running--
      changed.push(id)
      return id !== "e7"
    })
    await pass(1000)
    expect(await work).toEqual({ done: 24, skipped: 1 })
    expect(new Set(changed).size).toBe(25)
    expect(most).toBe(10)
    expect(onProgress).toHaveBeenCalledTimes(25)
    expect(onProgress).toHaveBeenLastCalledWith({ done: 24, skipped: 1 })
  })

  it("keeps the pace", async () => {
    const change = vi.fn(async () => true)
    const work = changeEach(ids(100), { perSecond: 20 }, change)
    await pass(1000)
    expect(change.mock.calls.length).toBeGreaterThanOrEqual(20)
    expect(change.mock.calls.length).toBeLessThanOrEqual(21)
    await pass(10_000)
    expect(await work).toEqual({ done: 100, skipped: 0 })
  })

  it("ends between two events when it is told to", async () => {
    const controller = new AbortController()
    const source = ids(1000)
    const work = changeEach(source, { signal: controller.signal }, async () => {
      await delay(10)
      return true
    })
    await pass(25)
    controller.abort()
    await pass(10)
    expect(await work).toEqual({ done: 30, skipped: 0 })
    expect(await source.next()).toEqual({ done: true, value: undefined })
  })

  it("stops at the first request that fails, and says how far it was", async () => {
    const cause = new Error("throttled")
    const work = changeEach(ids(1000), {}, async (id) => {
      await delay(10)
      if (id === "e15") throw cause
      return true
    }).catch((error: unknown) => error)
    await pass(1000)
    const error = await work
    expect(error).toBeInstanceOf(OperationalError)
    expect(error).toMatchObject({ cause, context: { progress: { skipped: 0 } } })
    const { done } = (error as { context: { progress: { done: number } } }).context.progress
    // Those of the same moment are not given up.
    expect(done).toBeGreaterThanOrEqual(10)
    expect(done).toBeLessThan(30)
  })

  it.each([0, -1, Number.NaN, "5" as never])("refuses %o for a pace", async (perSecond) => {
    await expect(changeEach(ids(1), { perSecond }, async () => true)).rejects.toThrow(ValidationError)
  })
})
