/** The events between index and handler: which are given back, and when it is known what to claim next. */
import { expect, it } from "vitest"
import { ClaimQueue, type Queued } from "./claim-queue.ts"
import type { Claim } from "./event-life.ts"

const taken = (id: string): Queued => ({ row: { id }, stretch: 0, pace: "ahead" })
const won = (id: string, claim: Partial<Claim> = {}): Queued => ({
  ...taken(id),
  outcome: { kind: "won", claim: { wasRecovered: false, isLastAttempt: false, ...claim } as Claim },
})
const lost = (id: string): Queued => ({ ...taken(id), outcome: { kind: "lost" } })

function queueOf(...entries: Queued[]): ClaimQueue {
  const queue = new ClaimQueue()
  for (const entry of entries) queue.push(entry)
  return queue
}
const idsOf = (entries: Queued[]) => entries.map(({ row }) => row.id)

it("cuts what is claimed, and keeps what is being claimed as unwanted", () => {
  const pending = taken("c")
  const queue = queueOf(won("a"), won("b"), pending, lost("d"))
  expect(idsOf(queue.cut(1))).toEqual(["b", "d"])
  expect(queue.length).toBe(2)
  expect(queue.head?.isUnwanted).toBeUndefined()
  queue.shift()
  expect(queue.head).toBe(pending)
  expect(pending.isUnwanted).toBe(true)
})

it("is undecided while it has an event that is not wanted any more", () => {
  expect(queueOf().isUndecided()).toBe(false)
  expect(queueOf(won("a"), taken("b"), lost("c")).isUndecided()).toBe(false)
  const queue = queueOf(won("a"), taken("b"))
  queue.cut(1)
  expect(queue.isUndecided()).toBe(true)
})

it("finds the first claimed event of a kind, or its own end", () => {
  const isLast = ({ isLastAttempt }: Claim) => isLastAttempt
  expect(queueOf().firstWhere(isLast)).toBe(0)
  expect(queueOf(won("a"), taken("b"), lost("c")).firstWhere(isLast)).toBe(3)
  const last = () => won("last", { isLastAttempt: true })
  expect(queueOf(taken("a"), won("b"), last(), last()).firstWhere(isLast)).toBe(2)
})
