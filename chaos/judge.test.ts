/** The judge must see what is wrong: each of these records breaks a promise, or does not. */
import { describe, expect, test } from "vitest"
import type { Entry } from "./journal.ts"
import { type Evidence, judge, type WorkerRecord } from "./judge.ts"

const LEASE_MS = 1000
const plain = { takesMs: 1, failures: 0, isPoison: false }

const ran = (id: string, from: number, to: number, isOk = true, run = from): Entry[] => [
  { what: "started", id, run, at: from },
  { what: "ended", id, run, isOk, at: to },
]
const wrote = (id: string, status: string, at: number): Entry => ({
  what: "written",
  id,
  status,
  isRecovery: false,
  at,
})

/** Event "e" was delivered by "a" and is completed, unless told otherwise. */
function evidence(
  journals: Record<string, Entry[]>,
  {
    workers = {},
    ...rest
  }: Partial<Omit<Evidence, "workers">> & { workers?: Record<string, Partial<WorkerRecord>> } = {},
): Evidence {
  return {
    published: new Map([["e", plain]]),
    refused: new Set(),
    orders: new Set(),
    orderIds: new Set(),
    journals: new Map(Object.entries(journals)),
    workers: Object.keys(journals).map((name) => ({ name, version: "new", frozen: [], ...workers[name] })),
    processingTimeoutMs: LEASE_MS,
    maxRetries: 3,
    items: [{ id: "e", status: "completed" }],
    deadLetterIds: new Set(),
    ...rest,
  }
}

const again = (first: Entry[], second: Entry[], options?: Parameters<typeof evidence>[1]) =>
  judge(evidence({ a: first, b: second }, options))

test("one delivery, completed, breaks nothing", () => {
  expect(judge(evidence({ a: [...ran("e", 0, 5), wrote("e", "completed", 6)] }))).toMatchObject({
    runs: 1,
    retries: 0,
    broken: [],
    lost: [],
  })
})

test.each<[string, Partial<Evidence>, string]>([
  ["waiting", { items: [{ id: "e", status: "created" }] }, "event e is created"],
  ["gone", { items: [] }, "event e is gone"],
  ["dead before its last attempt", { items: [{ id: "e", status: "failed" }] }, "event e is failed"],
])("an event that is %s at the end is lost", (_what, rest, message) => {
  const { workers: _, ...given } = rest
  expect(judge(evidence({ a: ran("e", 0, 5) }, given))).toMatchObject({ lost: ["e"], broken: [message] })
})

test("a completed event is lost if no handler has succeeded with it", () => {
  const { lost, broken } = judge(evidence({ a: ran("e", 0, 5, false) }))
  expect(lost).toEqual(["e"])
  expect(broken).toEqual(["event e is completed, but no handler has succeeded"])
})

describe("an event whose attempts are used up", () => {
  const ranTwice = { a: [...ran("e", 0, 5, false), ...ran("e", 10, 15, false)] }
  const dead = { items: [{ id: "e", status: "failed", retryCount: 4 }], deadLetterIds: new Set(["e"]) }

  test("may be dead, if it is visible as a dead letter", () => {
    expect(judge(evidence(ranTwice, dead))).toMatchObject({ deadLetters: ["e"], broken: [], lost: [] })
    expect(judge(evidence(ranTwice, { ...dead, deadLetterIds: new Set() })).lost).toEqual(["e"])
  })

  test("must have run as often, but for twice when it was claimed ahead", () => {
    const { broken, brokenIds } = judge(evidence({ a: ran("e", 0, 5, false) }, dead))
    expect(broken).toEqual(["event e has 4 attempts, but its handler ran 1 times without success"])
    expect([...brokenIds]).toEqual(["e"])
  })

  test.each<[string, Entry[], Partial<WorkerRecord>]>([
    ["a claim whose response was lost", [{ what: "trouble", id: "e", error: "ECONNRESET", at: 21 }], {}],
    ["a claim whose worker died at once", [wrote("e", "active", 20)], { diedAt: 90 }],
  ])("%s counts without a run", (_what, entries, worker) => {
    const journals = { a: ran("e", 0, 5, false), b: entries }
    expect(judge(evidence(journals, { ...dead, workers: { b: worker } })).broken).toEqual([])
  })

  test("a claim whose worker died later should have been given back", () => {
    const journals = { a: ran("e", 0, 5, false), b: [wrote("e", "active", 20)] }
    expect(judge(evidence(journals, { ...dead, workers: { b: { diedAt: 200 } } })).broken).toHaveLength(1)
  })
})

test("a completed event's last run is no failed attempt", () => {
  const items = (retryCount: number) => ({ items: [{ id: "e", status: "completed", retryCount }] })
  const runs = { a: [...ran("e", 0, 5, false), ...ran("e", 10, 15)] }
  expect(judge(evidence(runs, items(3))).broken).toEqual([])
  expect(judge(evidence(runs, items(4))).broken).toHaveLength(1)
})

test("what nobody published, or was refused, must not be there, nor be handled", () => {
  const items = ["e", "ghost", "refused"].map((id) => ({ id, status: "completed" }))
  const { broken } = judge(
    evidence({ a: [...ran("e", 0, 5), ...ran("ghost", 6, 7)] }, { items, refused: new Set(["refused"]) }),
  )
  expect(broken).toEqual([
    "item ghost was never published",
    "item refused was refused",
    "handler ran for ghost, which nobody published",
  ])
})

test("orders and events go together", () => {
  const { broken } = judge(
    evidence({ a: ran("e", 0, 5) }, { orders: new Set(["e"]), orderIds: new Set(["other"]) }),
  )
  expect(broken).toEqual(["order e is gone; its event is completed", "order other was refused, but is there"])
})

test("a completed event must have left the index", () => {
  const items = [{ id: "e", status: "completed", gsiSortKey: 1 }]
  expect(judge(evidence({ a: ran("e", 0, 5) }, { items })).broken).toEqual([
    "completed event e is still in the index",
  ])
})

test("an event that is not delivered must not expire", () => {
  const items = [{ id: "e", status: "failed", retryCount: 5, expiresAt: 1 }]
  expect(judge(evidence({ a: ran("e", 0, 5, false) }, { items })).broken).toContain(
    "event e is failed, and may expire",
  )
})

test("a run after a failed one is a retry", () => {
  expect(again(ran("e", 0, 5, false), ran("e", 10, 15))).toMatchObject({ retries: 1, broken: [] })
})

test("a second delivery without a cause breaks a promise, also while the first one runs", () => {
  expect(again(ran("e", 0, 700), ran("e", 900, 905)).broken).toHaveLength(1)
  expect(again(ran("e", 0, 5), ran("e", 10, 15)).broken).toHaveLength(1)
  expect(again(ran("e", 0, 50, false), ran("e", 10, 15)).broken).toHaveLength(1)
})

test.each<[string, Entry[], number, Parameters<typeof evidence>[1]]>([
  ["died", ran("e", 0, 5), 900, { workers: { a: { diedAt: 6 } } }],
  ["died", [{ what: "started", id: "e", run: 0, at: 0 }], 900, { workers: { a: { diedAt: 3 } } }],
  ["frozen", ran("e", 0, 5000), 1200, { workers: { a: { frozen: [{ from: 2, until: 4000 }] } } }],
  ["overran", ran("e", 0, 5000), 1200, {}],
  ["overran", ran("e", 0, 800), 1200, {}],
  ["stalled", [...ran("e", 0, 5), { what: "stalled", ms: 900, at: 950 }], 1200, {}],
  ["no response", [...ran("e", 0, 5), { what: "trouble", id: "e", error: "ECONNRESET", at: 6 }], 1200, {}],
  ["no response", [...ran("e", 0, 5), { what: "sent", id: "e", at: 6 }], 1200, {}],
  ["restored", [...ran("e", 0, 5), wrote("e", "completed", 60)], 900, { restoredFrom: 50 }],
  [
    "original",
    [...ran("e", 0, 5), wrote("e", "completed", 6)],
    900,
    { workers: { a: { version: "original" } } },
  ],
])("a second delivery is allowed: %s", (cause, first, at, options) => {
  const { duplicates, broken } = again(first, ran("e", at, at + 5), options)
  expect(broken).toEqual([])
  expect(duplicates).toMatchObject({ [cause]: 1 })
})

test.each<[string, Parameters<typeof evidence>[1], Entry[]]>([
  ["a worker that died before the run, or after the second", { workers: { a: { diedAt: 2000 } } }, []],
  ["a freeze at another time", { workers: { a: { frozen: [{ from: 1500, until: 1600 }] } } }, []],
  ["trouble with another event", {}, [{ what: "trouble", id: "other", error: "x", at: 6 }]],
  [
    "a write that got a response",
    {},
    [
      { what: "sent", id: "e", at: 6 },
      { what: "answered", id: "e", at: 7 },
    ],
  ],
  ["any trouble, once it was completed", { workers: { a: { diedAt: 8 } } }, [wrote("e", "completed", 6)]],
  ["a table restored from after it was completed", { restoredFrom: 50 }, [wrote("e", "completed", 6)]],
])("%s is no excuse", (_what, options, more) => {
  const first = [...ran("e", 0, 5), ...more]
  expect(again(first, ran("e", 900, 905), options).broken).toHaveLength(1)
})

test("an event that was claimed before its overdue handler completed it may still be delivered, one claimed after that not", () => {
  const first = [...ran("e", 0, 1400), wrote("e", "completed", 1402)]
  const claimed = (at: number) => again(first, [wrote("e", "active", at), ...ran("e", 1700, 1705)])
  expect(claimed(1200)).toMatchObject({ duplicates: { overran: 1 }, broken: [] })
  expect(claimed(1500).broken).toHaveLength(1)
})

test("where nobody died, no lease may run out", () => {
  const journals = { a: [...ran("e", 0, 5), { ...wrote("e", "created", 900), isRecovery: true } as Entry] }
  expect(judge(evidence(journals))).toMatchObject({ recoveries: 1, broken: [] })
  expect(judge(evidence(journals, { isGentle: true })).broken).toEqual([
    "event e was left claimed, although nobody died",
  ])
})

test("an original that sets back what a new worker has completed is named as the cause", () => {
  const { duplicates, broken } = judge(
    evidence(
      {
        a: [...ran("e", 0, 5), wrote("e", "completed", 6)],
        b: ran("e", 20, 25),
        old: [wrote("e", "created", 10)],
      },
      { workers: { old: { version: "original" } } },
    ),
  )
  expect(broken).toEqual([])
  expect(duplicates.original).toBe(1)
})
