/** The rules of admission, each on a queue written as text: what becomes of which event. */

import { describe, expect, it } from "vitest"
import { type Marks, marksOf } from "../state/attempt.ts"
import { AdmissionRound, type Candidate, mustNotWait, type Slots, suspicionOf } from "./admission.ts"

const MARKS: Record<string, Marks> = {
  ordinary: { crashCount: 0, isLastAttempt: false, hasFewAttempts: false },
  last: { crashCount: 0, isLastAttempt: true, hasFewAttempts: true },
  weak: { crashCount: 1, isLastAttempt: false, hasFewAttempts: false },
  strong: { crashCount: 2, isLastAttempt: false, hasFewAttempts: false },
}

/** "claimed weak", or "pending" where nothing is known yet. */
function candidate(text: string): Candidate {
  const [claim, kind] = text.split(" ") as [Candidate["claim"], string | undefined]
  return { claim, marks: kind === undefined ? undefined : MARKS[kind] }
}

function verdicts(slots: Partial<Slots>, ...queue: string[]): string[] {
  const round = new AdmissionRound({
    concurrency: 10,
    free: 10,
    suspects: 0,
    hasStrongSuspect: false,
    isStuck: false,
    isUncertain: false,
    canClaim: true,
    ...slots,
  })
  return queue.map((text) => round.next(candidate(text)))
}

const times = (count: number, text: string) => Array<string>(count).fill(text)

it.each([
  // Crashes, attempts left.
  [0, 5, "none"],
  [0, 1, "none"],
  [1, 4, "weak"],
  [1, 3, "weak"],
  [1, 2, "strong"],
  [1, 1, "strong"],
  [2, 5, "strong"],
  [7, 1, "strong"],
] as const)("after %i crashes, with %i attempts left: suspicion %s", (crashCount, left, suspicion) => {
  const marks = marksOf({ crashCount, retryCount: 5 - left }, 5)
  expect(suspicionOf(marks)).toBe(suspicion)
  expect(mustNotWait(marks)).toBe(left === 1 || suspicion === "strong")
})

describe("in order", () => {
  it("handlers start while slots are free", () => {
    expect(verdicts({ concurrency: 3, free: 2 }, ...times(3, "claimed ordinary"))).toEqual([
      "start",
      "start",
      "wait",
    ])
  })

  it("nothing starts before an event in front that may still start", () => {
    for (const front of ["pending", "pending weak", "unclaimed strong"]) {
      expect(verdicts({}, front, "claimed ordinary")[1], front).toBe("wait")
    }
  })

  it("nor before one that turned out not to be safe to start", () => {
    const round = new AdmissionRound({
      concurrency: 2,
      free: 2,
      suspects: 0,
      hasStrongSuspect: false,
      isStuck: false,
      isUncertain: false,
      canClaim: true,
    })
    expect(round.next(candidate("claimed ordinary"))).toBe("start")
    round.block("why")
    expect(round.next(candidate("claimed ordinary"))).toBe("wait")
  })

  it("what is under way has its slot already", () => {
    expect(verdicts({ free: 1 }, "pending", "unclaimed last")).toEqual(["wait", "wait"])
    expect(verdicts({ free: 2 }, "pending", "unclaimed last")).toEqual(["wait", "claim"])
  })
})

describe("weak suspects", () => {
  it("fill half of the slots, and others go on past them", () => {
    const queue = [...times(7, "claimed weak"), "claimed ordinary"]
    expect(verdicts({}, ...queue)).toEqual([...times(5, "start"), "wait", "wait", "start"])
  })

  it.each([
    // Free, suspects running: how many more start.
    [10, 0, 5],
    [5, 5, 0],
    [7, 3, 2],
    [2, 0, 1],
    [1, 0, 1],
    [1, 1, 0],
    [0, 0, 0],
  ])("with %i of 10 slots free and %i of them running, %i start", (free, suspects, starting) => {
    const all = verdicts({ free, suspects }, ...times(10, "claimed weak"))
    expect(all.filter((verdict) => verdict === "start")).toHaveLength(starting)
  })

  it("one runs with concurrency 1", () => {
    expect(verdicts({ concurrency: 1, free: 1 }, "claimed weak")).toEqual(["start"])
  })

  it("may wait claimed", () => {
    expect(verdicts({ free: 0 }, "claimed weak")).toEqual(["wait"])
  })
})

describe("strong suspects", () => {
  it("run one at a time, and others go on past them", () => {
    expect(verdicts({}, "claimed strong", "claimed strong", "claimed ordinary", "claimed weak")).toEqual([
      "start",
      "release",
      "start",
      "start",
    ])
    expect(verdicts({ hasStrongSuspect: true }, "unclaimed strong", "claimed ordinary")).toEqual([
      "wait",
      "start",
    ])
  })

  it("wait, with their slot, until it is certain that no crash could count against another one", () => {
    expect(verdicts({ isUncertain: true, free: 1 }, "claimed strong", "claimed ordinary")).toEqual([
      "wait",
      "wait",
    ])
    expect(verdicts({ isUncertain: true }, "unclaimed strong")).toEqual(["wait"])
  })

  it("don't wait claimed for a slot", () => {
    expect(verdicts({ free: 0 }, "claimed strong")).toEqual(["release"])
  })
})

describe("an event at its last attempt", () => {
  it("does not wait claimed for a slot, and is claimed when there is one", () => {
    expect(verdicts({ free: 1 }, "claimed ordinary", "claimed last", "unclaimed last")).toEqual([
      "start",
      "release",
      "wait",
    ])
    expect(verdicts({ free: 2 }, "unclaimed last", "unclaimed last")).toEqual(["claim", "claim"])
  })

  it("runs beside any other", () => {
    expect(verdicts({}, ...times(3, "claimed last"))).toEqual(times(3, "start"))
  })
})

it("behind handlers that may never end, nothing waits claimed", () => {
  const queue = ["claimed ordinary", "pending", "claimed weak", "unclaimed strong"]
  expect(verdicts({ free: 0, isStuck: true }, ...queue)).toEqual(["release", "wait", "release", "wait"])
})

it("nothing waits behind what can't be claimed now", () => {
  expect(verdicts({ canClaim: false }, "unclaimed strong", "claimed ordinary")).toEqual(["wait", "start"])
})
