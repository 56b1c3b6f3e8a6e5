/** How many handlers may start, and whether those that run still count. */
import { expect, it } from "vitest"
import type { Suspicion } from "./admission.ts"
import type { LeasedEvent } from "./lease-keeper.ts"
import { Running } from "./running.ts"

const held = (id: string, suspicion: Suspicion = "none"): LeasedEvent => ({
  lease: { id, token: "t", leaseEndsAt: 0, dueAt: 0 },
  suspicion,
})

function createRunning(concurrency: number) {
  const overdue = new Set<LeasedEvent>()
  return { running: new Running(concurrency, (event) => overdue.has(event)), overdue }
}

it("counts the free places", () => {
  const { running } = createRunning(2)
  expect(running).toMatchObject({ size: 0, free: 2, isStuck: false })
  const [a, b] = [held("a"), held("b")]
  running.add(a)
  running.add(b)
  expect(running).toMatchObject({ size: 2, free: 0, isStuck: false })
  running.ended(a)
  expect(running).toMatchObject({ size: 1, free: 1 })
})

it("is stuck when every slot is taken by a handler that is overdue", () => {
  const { running, overdue } = createRunning(2)
  const [a, b] = [held("a"), held("b")]
  running.add(a)
  overdue.add(a)
  expect(running.isStuck).toBe(false)
  running.add(b)
  expect(running.isStuck).toBe(false)
  overdue.add(b)
  expect(running.isStuck).toBe(true)
})

it("counts suspects while they run within their timeout", () => {
  const { running, overdue } = createRunning(4)
  const [weak, strong] = [held("b", "weak"), held("c", "strong")]
  for (const event of [held("a"), weak]) running.add(event)
  expect(running).toMatchObject({ suspects: 1, hasStrongSuspect: false })
  running.add(strong)
  expect(running).toMatchObject({ suspects: 2, hasStrongSuspect: true })
  overdue.add(strong)
  expect(running).toMatchObject({ suspects: 1, hasStrongSuspect: false })
  overdue.add(weak)
  expect(running).toMatchObject({ suspects: 0, free: 1 })
})

it("has a strong suspect until its result is written", () => {
  const { running } = createRunning(2)
  const strong = held("a", "strong")
  running.add(strong)
  running.ended(strong)
  expect(running).toMatchObject({ size: 0, suspects: 0, hasStrongSuspect: true })
  running.settled(strong)
  expect(running.hasStrongSuspect).toBe(false)
})

it("notes when a handler starts", () => {
  const { running } = createRunning(1)
  const event = held("a")
  const before = performance.now()
  running.add(event)
  expect(event.startedAt).toBeGreaterThanOrEqual(before)
})
