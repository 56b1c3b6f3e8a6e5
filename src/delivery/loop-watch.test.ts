import { expect, it, vi } from "vitest"
import { blockable, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { LoopWatch } from "./loop-watch.ts"

useFakeClock()

it("sees that the loop has not turned for more than 50 ms over its time, until it has", async () => {
  const block = blockable()
  const onTurned = vi.fn()
  const watch = new LoopWatch(() => {}, onTurned)
  watch.start()
  await pass(1000)
  expect(watch.isBlocked).toBe(false)
  block(70)
  expect(watch.isBlocked).toBe(false)
  block(1)
  expect(watch.isBlocked).toBe(true)
  expect(onTurned).not.toHaveBeenCalled()
  await pass(20)
  expect(onTurned).toHaveBeenCalledOnce()
  expect(watch.isBlocked).toBe(false)
  await pass(1000)
  expect(onTurned).toHaveBeenCalledOnce()
})

it("leaves no timer behind, and sees nothing before it starts and after it has stopped", () => {
  const block = blockable()
  const watch = new LoopWatch(
    () => {},
    () => {},
  )
  block(1000)
  expect(watch.isBlocked).toBe(false)
  watch.start()
  watch.start()
  expect(vi.getTimerCount()).toBe(1)
  watch.stop()
  expect(vi.getTimerCount()).toBe(0)
  block(2000)
  expect(watch.isBlocked).toBe(false)
})

it("lets nothing start from a block on until all is settled, and tells of it", async () => {
  const block = blockable()
  const onBlocked = vi.fn()
  const watch = new LoopWatch(onBlocked, () => {})
  watch.start()
  expect(watch.mayStart(false)).toBe(true)
  block(100)
  expect(watch.mayStart(true)).toBe(false)
  expect(onBlocked).toHaveBeenCalledOnce()
  await pass(20)
  expect(watch.mayStart(false)).toBe(false)
  expect(watch.mayStart(true)).toBe(true)
  expect(watch.mayStart(false)).toBe(true)
  watch.stop()
})
