/** How many handlers may start, and whether those that run still count. */
import { expect, it } from "vitest"
import type { HeldEvent } from "./lease-keeper.ts"
import { Running } from "./running.ts"

const held = (id: string, wasRecovered = false): HeldEvent => ({
  hold: { id, token: "t", leaseEndsAt: 0, dueAt: 0 },
  wasRecovered,
})

function createRunning(concurrency: number) {
  const overdue = new Set<HeldEvent>()
  return { running: new Running(concurrency, (event) => overdue.has(event)), overdue }
}

it("counts the free places", () => {
  const { running } = createRunning(2)
  expect(running).toMatchObject({ size: 0, free: 2, isBusy: false, isStuck: false })
  const [a, b] = [held("a"), held("b")]
  running.add(a)
  running.add(b)
  expect(running).toMatchObject({ size: 2, free: 0, isBusy: true, isStuck: false })
  running.delete(a)
  expect(running).toMatchObject({ size: 1, free: 1 })
})

it("is busy until the last handler is overdue, and stuck when there is no free place besides", () => {
  const { running, overdue } = createRunning(2)
  const [a, b] = [held("a"), held("b")]
  running.add(a)
  overdue.add(a)
  expect(running).toMatchObject({ isBusy: false, isStuck: false })
  running.add(b)
  expect(running).toMatchObject({ isBusy: true, isStuck: false })
  overdue.add(b)
  expect(running).toMatchObject({ isBusy: false, isStuck: true })
})

it("is reserved while an event that was recovered before runs within its time", () => {
  const { running, overdue } = createRunning(3)
  running.add(held("a"))
  expect(running.isReserved).toBe(false)
  const suspect = held("b", true)
  running.add(suspect)
  expect(running.isReserved).toBe(true)
  overdue.add(suspect)
  expect(running.isReserved).toBe(false)
})

it("notes when a handler starts", () => {
  const { running } = createRunning(1)
  const event = held("a")
  const before = performance.now()
  running.add(event)
  expect(event.startedAt).toBeGreaterThanOrEqual(before)
})
