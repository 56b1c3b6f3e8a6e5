/** An event that was recovered before runs with nothing beside it: a crash loop must count against its cause alone. */
import { describe, expect, it } from "vitest"
import { deferred } from "../packages/outbox-event-bus/src/deferred.fixture.ts"
import { type EventTable, LEASE_MS } from "./event-life.fixture.ts"
import { delay, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createRelay, names } from "./relay.fixture.ts"

useFakeClock()

/** Events in order of their due time; the suspects were recovered before. */
function createWith(ids: string[], suspects: string[], concurrency: number) {
  const all = createRelay({ concurrency })
  for (const [i, id] of ids.entries()) {
    all.table.put({ id, dueAt: Date.now() - 10_000 + i, wasRecovered: suspects.includes(id) })
  }
  /** For each suspect, what else this worker held while its handler ran. */
  const beside: Record<string, string[]> = {}
  all.onEvent(async ({ id }) => {
    const look = () => {
      if (suspects.includes(id)) {
        beside[id] = [...(beside[id] ?? []), ...all.table.in("active").filter((other) => other !== id)]
      }
    }
    look()
    await delay(20)
    look()
  })
  return { ...all, beside }
}

describe.each([1, 3, 50])("with concurrency %i, a recovered event", (concurrency) => {
  it.each([
    ["first", ["e0000"]],
    ["in the middle", ["e0010"]],
    ["last", ["e0029"]],
    ["several in a row", ["e0003", "e0004", "e0005"]],
    ["several apart", ["e0000", "e0007", "e0020"]],
    ["all", names(30)],
  ])("runs alone, and every event is delivered once, in order: %s", async (_, suspects) => {
    const { table, started, beside, poll } = createWith(names(30), suspects, concurrency)
    table.latencyMs.claim = 3
    const done = poll()
    await pass(10_000)
    await done
    expect(beside).toEqual(Object.fromEntries(suspects.map((id) => [id, []])))
    expect([...started].sort()).toEqual(names(30))
    if (concurrency === 1) expect(started).toEqual(names(30))
  })

  it("gives back unharmed what was claimed behind it", async () => {
    const { table, life, poll } = createWith(names(30), ["e0012"], concurrency)
    table.latencyMs.claim = 3
    const done = poll()
    await pass(10_000)
    await done
    expect(life.fail).not.toHaveBeenCalled()
    expect(table.in("completed")).toEqual(names(30))
  })
})

describe.each([1, 2, 5])("with concurrency %i, while other handlers run", (concurrency) => {
  it("is given back, and claimed again once nothing runs: if the worker dies meanwhile, it must not count", async () => {
    const { table, life, started, onEvent, poll } = createRelay({ concurrency })
    for (const [i, id] of ["slow", "suspect", "next suspect", "after"].entries()) {
      table.put({ id, dueAt: Date.now() - 10_000 + i, wasRecovered: id.endsWith("suspect") })
    }
    table.latencyMs.claim = 2
    onEvent(({ id }) => (id === "slow" ? delay(500) : Promise.resolve()))
    const done = poll()
    await pass(20)
    for (let i = 0; i < 40; i++) {
      await pass(10)
      expect(table.in("active")).toEqual(["slow"])
    }
    // Once was enough to see what it is.
    expect(life.claim.mock.calls.filter(([{ id }]) => id === "suspect")).toHaveLength(1)
    await pass(1000)
    await done
    expect(started).toEqual(["slow", "suspect", "next suspect", "after"])
    expect(life.fail).not.toHaveBeenCalled()
  })
})

it("is not claimed again for what was being claimed when it was given back", async () => {
  const { table, life, onEvent, poll } = createRelay({ concurrency: 4 })
  table.putAll(["slow", "before", "suspect", "behind"])
  table.put({ id: "suspect", dueAt: Date.now() - 9998, wasRecovered: true })
  // The claims around it are answered late.
  const { claim } = life
  const win = claim.getMockImplementation() as typeof claim
  claim.mockImplementation(async (row) => {
    const outcome = await win(row)
    await delay({ before: 30, behind: 60 }[row.id] ?? 1)
    return outcome
  })
  onEvent(() => delay(500))
  const done = poll()
  await pass(400)
  expect(claim.mock.calls.filter(([{ id }]) => id === "suspect")).toHaveLength(1)
  await pass(5000)
  await done
  expect(table.in("completed")).toHaveLength(4)
})

it("waits for the handlers that run, and for what they settle", async () => {
  const { table, started, onEvent, poll } = createRelay({ concurrency: 5 })
  table.put({ id: "slow", dueAt: Date.now() - 100 })
  table.put({ id: "suspect", dueAt: Date.now() - 90, wasRecovered: true })
  const slow = deferred()
  onEvent(({ id }) => (id === "slow" ? slow.promise : Promise.resolve()))
  table.latencyMs.complete = 50
  const done = poll()
  await pass(200)
  expect(started).toEqual(["slow"])
  slow.resolve()
  await pass(40)
  expect(started).toEqual(["slow"])
  await pass(20)
  expect(started).toEqual(["slow", "suspect"])
  await pass(100)
  await done
})

it("does not wait for a handler that hangs past its time", async () => {
  const { table, started, onEvent, poll } = createRelay({ concurrency: 50 })
  table.put({ id: "hangs", dueAt: Date.now() - 100 })
  table.put({ id: "suspect", dueAt: Date.now() - 90, wasRecovered: true })
  table.put({ id: "after", dueAt: Date.now() - 80 })
  onEvent(({ id }) => (id === "hangs" ? new Promise(() => {}) : Promise.resolve()))
  const done = poll()
  await pass(LEASE_MS - 100)
  expect(started).not.toContain("suspect")
  await pass(LEASE_MS)
  await done
  expect(started).toEqual(["hangs", "suspect", "after"])
})

it("that hangs past its own time itself does not hold up the others for ever", async () => {
  const { table, started, onEvent, poll } = createRelay({ concurrency: 2 })
  table.put({ id: "suspect", dueAt: Date.now() - 100, wasRecovered: true })
  table.putAll(["a", "b"])
  table.put({ id: "c", dueAt: Date.now() - 50 })
  onEvent(({ id }) => (id === "suspect" ? new Promise(() => {}) : Promise.resolve()))
  const done = poll()
  await pass(LEASE_MS * 2)
  await done
  expect(started.slice().sort()).toEqual(["a", "b", "c", "suspect"])
})

it("and ends the poll at its time though its handler goes on", async () => {
  const { table, life, onEvent, poll } = createRelay({ concurrency: 2 })
  table.put({ id: "suspect", wasRecovered: true })
  table.put({ id: "other", dueAt: Date.now() - 10 })
  onEvent(({ id }) => (id === "suspect" ? delay(600) : Promise.resolve()))
  const done = poll(performance.now() + 500)
  await pass(520)
  expect(await done).toBe("unfinished")
  const claimed = () => life.claim.mock.calls.map(([{ id }]) => id)
  expect(claimed()).not.toContain("other")
  // Nor does the next poll claim anything beside it.
  const next = poll()
  await pass(50)
  expect(claimed()).not.toContain("other")
  await pass(500)
  await next
  expect(table.in("completed")).toEqual(["suspect", "other"])
})

it("a handler that fails does not keep the event's turn: the next ones go on", async () => {
  const { table, life, started, onEvent, poll } = createRelay({ concurrency: 3 })
  table.put({ id: "a", dueAt: Date.now() - 100, wasRecovered: true })
  table.put({ id: "b", dueAt: Date.now() - 90 })
  onEvent(async ({ id }) => {
    if (id === "a") throw new Error("boom")
  })
  await poll()
  expect(started).toEqual(["a", "b"])
  expect(life.fail).toHaveBeenCalledOnce()
})

describe("an event at its last attempt", () => {
  const putSome = (table: EventTable, count: number, isLastAttempt: (i: number) => boolean) => {
    for (const [i, id] of names(count).entries()) {
      table.put({ id, dueAt: Date.now() - 1000 + i, isLastAttempt: isLastAttempt(i) })
    }
  }

  it.each([1, 4])(
    "with concurrency %i waits nowhere claimed: each starts at once when it is claimed",
    async (concurrency) => {
      const { table, life, started, onEvent, poll } = createRelay({ concurrency })
      putSome(table, 20, (i) => i % 3 === 1)
      const last = new Set([...table.events].filter(([, event]) => event.isLastAttempt).map(([id]) => id))
      let waiting = 0
      onEvent(async () => {
        await delay(30)
        waiting += table.in("active").filter((id) => last.has(id) && !started.includes(id)).length
      })
      const done = poll()
      await pass(10_000)
      await done
      expect([...started].sort()).toEqual(names(20))
      if (concurrency === 1) expect(started).toEqual(names(20))
      expect(waiting).toBe(0)
      expect(life.fail).not.toHaveBeenCalled()
      expect(table.in("completed")).toEqual(names(20))
    },
  )

  it("keeps its turn though the handler before it ends while it is still being given back", async () => {
    const { table, started, onEvent, poll } = createRelay()
    putSome(table, 20, (i) => i % 3 === 1)
    table.latencyMs.release = 50
    onEvent(() => delay(30))
    const done = poll()
    await pass(10_000)
    await done
    expect(started).toEqual(names(20))
  })

  it("keeps as many handlers busy as any other", async () => {
    const { table, seen, onEvent, poll } = createRelay({ concurrency: 4 })
    putSome(table, 20, () => true)
    onEvent(() => delay(30))
    const done = poll()
    await pass(10_000)
    await done
    expect(seen.most).toBe(4)
  })

  it("causes few releases where there are many in a row: none is claimed before a handler can start", async () => {
    const { table, life, started, onEvent, poll } = createRelay()
    putSome(table, 30, () => true)
    onEvent(() => delay(30))
    const done = poll()
    await pass(10_000)
    await done
    expect(started).toEqual(names(30))
    expect(life.release.mock.calls.length).toBeLessThanOrEqual(2)
  })
})

describe("among ordinary events, every second one of a kind that must not wait", () => {
  it.each([
    [1, "wasRecovered"],
    [5, "wasRecovered"],
    [50, "wasRecovered"],
    [1, "isLastAttempt"],
    [5, "isLastAttempt"],
    [50, "isLastAttempt"],
  ] as const)("with concurrency %i, %s: few claims are given back", async (concurrency, kind) => {
    const { table, life, onEvent, poll } = createRelay({ concurrency })
    for (const [i, id] of names(300).entries()) {
      table.put({ id, dueAt: Date.now() - 10_000 + i, [kind]: i % 2 === 1 })
    }
    Object.assign(table.latencyMs, { due: 5, claim: 5, release: 5, complete: 5 })
    onEvent(() => delay(20))
    const done = poll()
    await pass(30_000)
    await done
    expect(table.in("completed")).toHaveLength(300)
    expect(life.claim.mock.calls.length).toBeLessThan((kind === "wasRecovered" ? 2 : 3) * 300)
  })
})

it.each([2, 50])(
  "with concurrency %i, a poll goes on until what it gave back is handled, though the index shows it late",
  async (concurrency) => {
    const { table, started, onEvent, poll } = createRelay({ concurrency })
    for (const [i, id] of ["slow", "suspect", "after"].entries()) {
      table.put({ id, dueAt: Date.now() - 10_000 + i, wasRecovered: id === "suspect" })
    }
    Object.assign(table.latencyMs, { due: 5, claim: 5, release: 5, complete: 5 })
    const put = table.index.put.bind(table.index)
    table.index.put = (key) => void setTimeout(() => put(key), 20)
    onEvent(({ id }) => (id === "slow" ? delay(500) : Promise.resolve()))
    const done = poll()
    await pass(5000)
    await done
    expect(started).toEqual(["slow", "suspect", "after"])
  },
)

it("that the index shows too late is left to a look soon after the poll", async () => {
  const { table, started, onEvent, poll } = createRelay({ concurrency: 2 })
  table.put({ id: "short", dueAt: Date.now() - 100 })
  table.put({ id: "suspect", dueAt: Date.now() - 90, wasRecovered: true })
  const put = table.index.put.bind(table.index)
  table.index.put = (key) => void setTimeout(() => put(key), 20)
  onEvent(() => delay(5))
  const done = poll()
  await pass(100)
  expect(await done).toBe("unsure")
  expect(started).toEqual(["short"])
  const next = poll()
  await pass(100)
  expect(await next).toBe("done")
  expect(started).toEqual(["short", "suspect"])
})

it("that another worker has delivered meanwhile holds up a worker with a long handler for no more than a poll", async () => {
  const { table, started, onEvent, poll } = createRelay({ concurrency: 2 })
  table.put({ id: "slow", dueAt: Date.now() - 100 })
  table.put({ id: "suspect", dueAt: Date.now() - 90, wasRecovered: true })
  onEvent(({ id }) => (id === "slow" ? delay(900) : Promise.resolve()))
  const first = poll(performance.now() + 300)
  await pass(50)
  expect(table.in("active")).toEqual(["slow"])
  table.index.delete("suspect")
  table.put({ id: "after", dueAt: Date.now() - 80 })
  // At the next look at the leases.
  await pass(LEASE_MS / 2)
  expect(await first).toBe("unfinished")
  const second = poll()
  await pass(10)
  expect(started).toEqual(["slow", "after"])
  await pass(2000)
  await second
})
