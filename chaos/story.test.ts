/** The story of an event must be told in order, by whom, and of this event alone. */
import { expect, test } from "vitest"
import type { Entry } from "./journal.ts"
import { storyOf } from "./story.ts"

const workers = ["a", "b", "c"].map((name) => ({ name, version: "new" as const, frozen: [] }))

const journals = new Map<string, Entry[]>([
  [
    "a",
    [
      { what: "written", id: "e", status: "active", isRecovery: false, at: 100 },
      { what: "started", id: "other", run: 0, at: 101 },
      { what: "sent", id: "e", at: 102 },
      { what: "started", id: "e", run: 1, at: 103 },
    ],
  ],
  [
    "b",
    [
      { what: "trouble", id: "e", error: "ECONNRESET", at: 900 },
      { what: "written", id: "e", status: "created", isRecovery: true, at: 1000 },
      { what: "ended", id: "e", run: 0, isOk: false, at: 1200 },
      { what: "ended", id: "e", run: 1, isOk: true, at: 1300 },
    ],
  ],
  ["c", [{ what: "ready", at: 50 }]],
])

test("tells what each worker did to an event, and when those that had it died", () => {
  const records = workers.map((worker) => ({ ...worker, diedAt: { a: 150, c: 160 }[worker.name] }))
  expect(storyOf("e", journals, records)).toEqual([
    "+0 ms a active",
    "+3 ms a handler starts",
    "+50 ms a died",
    "+800 ms b no response: ECONNRESET",
    "+900 ms b recovers it as created",
    "+1100 ms b handler fails",
    "+1200 ms b handler succeeds",
  ])
})

test("tells nothing of an event that nobody saw, and the end of a long story", () => {
  expect(storyOf("unknown", journals, workers)).toEqual([])
  const many = Array.from({ length: 100 }, (_, at): Entry => ({ what: "started", id: "e", run: at, at }))
  const story = storyOf("e", new Map([["a", many]]), workers)
  expect(story).toHaveLength(60)
  expect(story.at(-1)).toBe("+99 ms a handler starts")
})
