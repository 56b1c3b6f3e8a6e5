/** The events between index and handler: how many are on their way, and what is known of them. */
import { expect, it } from "vitest"
import type { Marks } from "../state/attempt.ts"
import { ClaimQueue, Queued, type Standing } from "./claim-queue.ts"

const STRONG: Marks = { crashCount: 2, isLastAttempt: false, hasFewAttempts: false }
const ORDINARY: Marks = { crashCount: 0, isLastAttempt: false, hasFewAttempts: false }

function entry(id: string, is: Standing["is"], marks?: Marks): Queued {
  const queued = new Queued({ id })
  queued.standing = { is } as Standing
  queued.marks = marks
  return queued
}

function queueOf(...entries: Queued[]): ClaimQueue {
  const queue = new ClaimQueue()
  for (const each of entries) queue.push(each)
  return queue
}

it("counts apart what is on its way and what only keeps its place", () => {
  const queue = queueOf(
    entry("a", "looking"),
    entry("b", "claiming"),
    entry("c", "claimed", ORDINARY),
    entry("d", "releasing", STRONG),
    entry("e", "released", STRONG),
  )
  expect(queue).toMatchObject({ ahead: 3, waiting: 2 })
  expect([...queue].map(({ claim }) => claim)).toEqual([
    "pending",
    "pending",
    "claimed",
    "pending",
    "unclaimed",
  ])
})

it("knows its events, until they are removed", () => {
  const [a, b] = [entry("a", "claiming"), entry("b", "claiming")]
  const queue = queueOf(a, b)
  queue.remove(a)
  expect(queue.has("a")).toBe(false)
  expect(queue.has("b")).toBe(true)
  expect([...queue]).toEqual([b])
})

it.each([
  ["nothing", [], false],
  ["a claim of an event that nobody has looked at", [entry("a", "claiming")], true],
  ["a claim of one that is known", [entry("a", "claiming", STRONG)], false],
  ["a look", [entry("a", "looking")], false],
  ["a release", [entry("a", "releasing", ORDINARY)], true],
  ["what was released", [entry("a", "released", STRONG), entry("b", "released", STRONG)], false],
  [
    "one strong suspect that is claimed",
    [entry("a", "claimed", STRONG), entry("b", "released", STRONG)],
    false,
  ],
  ["two of them", [entry("a", "claimed", STRONG), entry("b", "claiming", STRONG)], true],
  ["others that are claimed", [entry("a", "claimed", ORDINARY), entry("b", "claimed", ORDINARY)], false],
] as const)("with %s: %o uncertain: %s", (_, entries, isUncertain) => {
  expect(queueOf(...entries).isUncertain).toBe(isUncertain)
})

it("has a strong suspect wherever one stands", () => {
  expect(queueOf(entry("a", "claimed", ORDINARY), entry("b", "claiming")).hasStrongSuspect).toBe(false)
  expect(queueOf(entry("a", "released", STRONG)).hasStrongSuspect).toBe(true)
})
