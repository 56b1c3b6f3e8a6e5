/** What may have crashed its worker: a crash loop must count against its cause, and cost the others little. */
import { describe, expect, it } from "vitest"
import { type EventTable, LEASE_MS } from "../test/event-operations.fixture.ts"
import { delay, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { createRelay, names } from "../test/relay.fixture.ts"

useFakeClock()

/** Events in order of their due time; the suspects have two crashes to their name. */
function createWith(ids: string[], suspects: string[], concurrency: number) {
  const all = createRelay({ concurrency })
  for (const [i, id] of ids.entries()) {
    all.table.put({ id, dueAt: Date.now() - 10_000 + i, crashCount: suspects.includes(id) ? 2 : 0 })
  }
  /** Which other suspects this worker held while the handler of one ran. */
  const beside = new Set<string>()
  all.onEvent(async ({ id }) => {
    const look = () => {
      if (!suspects.includes(id)) return
      for (const other of all.table.in("active"))
        if (other !== id && suspects.includes(other)) beside.add(other)
    }
    look()
    await delay(20)
    look()
  })
  return { ...all, beside }
}

describe.each([1, 3, 50])("with concurrency %i, strong suspects", (concurrency) => {
  it.each([
    ["first", ["e0000"]],
    ["in the middle", ["e0010"]],
    ["last", ["e0029"]],
    ["several in a row", ["e0003", "e0004", "e0005"]],
    ["several apart", ["e0000", "e0007", "e0020"]],
    ["all", names(30)],
  ])("run one at a time, and every event is delivered once: %s", async (_, suspects) => {
    const { table, life, started, beside, poll } = createWith(names(30), suspects, concurrency)
    table.latencyMs.claim = 3
    while (table.in("completed").length < 30) {
      const done = poll()
      await pass(1000)
      await done
    }
    expect([...beside]).toEqual([])
    expect([...started].sort()).toEqual(names(30))
    if (concurrency === 1) expect(started).toEqual(names(30))
    expect(life.fail).not.toHaveBeenCalled()
  })

  it("are looked at before they are claimed, once one is known: few are claimed in vain", async () => {
    const { table, life, poll } = createWith(names(30), names(30), concurrency)
    while (table.in("completed").length < 30) {
      const done = poll()
      await pass(1000)
      await done
    }
    expect(life.claim.mock.calls.length).toBeLessThanOrEqual(32)
    expect(life.look.mock.calls.length).toBeLessThanOrEqual(30)
  })
})

it("quick events go on beside a slow handler and a suspect at the head", async () => {
  for (const crashCount of [1, 2]) {
    const { table, started, onEvent, poll } = createRelay({ concurrency: 10 })
    table.put({ id: "slow", dueAt: Date.now() - 20_000 })
    table.put({ id: "suspect", dueAt: Date.now() - 15_000, crashCount })
    table.putAll(names(30))
    onEvent(({ id }) => (id.startsWith("e") ? delay(1) : delay(LEASE_MS - 100)))
    const done = poll()
    await pass(50)
    expect(started).toHaveLength(32)
    await pass(5000)
    await done
  }
})

it("weak suspects take half of the slots, and leave the others to what is behind them", async () => {
  const { table, running, onEvent, poll } = createRelay({ concurrency: 10 })
  for (const [i, id] of names(20).entries()) {
    table.put({ id, dueAt: Date.now() - 1000 + i, crashCount: i < 8 ? 1 : 0 })
  }
  onEvent(() => delay(200))
  const done = poll()
  await pass(50)
  expect([...running].sort()).toEqual([...names(5), ...names(13).slice(8)])
  await pass(5000)
  await done
  expect(table.in("completed")).toHaveLength(20)
})

it("a strong suspect starts beside slow handlers, once nothing of unknown kind is being claimed", async () => {
  const { table, life, started, onEvent, poll } = createRelay({ concurrency: 4 })
  for (const [i, id] of ["slow", "suspect", "unknown"].entries()) {
    table.put({ id, dueAt: Date.now() - 100 + i, crashCount: id === "slow" ? 0 : 2 })
  }
  const { claim } = life
  const win = claim.getMockImplementation() as typeof claim
  claim.mockImplementation(async (row) => {
    const outcome = await win(row)
    await delay(row.id === "unknown" ? 60 : 1)
    return outcome
  })
  onEvent(() => delay(500))
  const done = poll()
  await pass(50)
  expect(started).toEqual(["slow"])
  await pass(20)
  expect(started).toEqual(["slow", "suspect"])
  expect(table.in("active")).toEqual(["slow", "suspect"])
  await pass(5000)
  await done
})

it("the next one starts when the last one is settled, though no poll is under way", async () => {
  const polls: string[] = []
  const { table, started, onEvent, poll } = createRelay({
    concurrency: 5,
    requestPoll: () => polls.push("asked"),
  })
  for (const [i, id] of names(3).entries()) table.put({ id, dueAt: Date.now() - 10 + i, crashCount: 2 })
  onEvent(() => delay(500))
  table.latencyMs.complete = 50
  expect(await poll()).toBe("done")
  await pass(540)
  expect(polls).toEqual([])
  await pass(20)
  expect(polls).toEqual(["asked"])
  expect(await poll()).toBe("done")
  expect(started).toEqual(names(2))
})

it.each(["hangs past its time", "fails"])("one whose handler %s does not hold up the others", async (way) => {
  const { table, started, onEvent, poll } = createRelay({ concurrency: 2 })
  table.put({ id: "suspect", dueAt: Date.now() - 100, crashCount: 2 })
  table.put({ id: "next suspect", dueAt: Date.now() - 90, crashCount: 2 })
  table.putAll(names(3))
  onEvent(async ({ id }) => {
    if (id !== "suspect") return
    if (way === "fails") throw new Error("boom")
    await new Promise(() => {})
  })
  for (let polls = 0; polls < 3; polls++) {
    const done = poll()
    await pass(LEASE_MS)
    await done
  }
  expect([...started].sort()).toEqual([...names(3), "next suspect", "suspect"])
})

it("that another worker has handled meanwhile is dropped", async () => {
  const { table, started, onEvent, poll } = createRelay({ concurrency: 3 })
  for (const [i, id] of ["first", "second", "third"].entries()) {
    table.put({ id, dueAt: Date.now() - 100 + i, crashCount: 2 })
  }
  onEvent(() => delay(100))
  const first = poll()
  await pass(50)
  await first
  const [second, third] = ["second", "third"].map((id) => table.events.get(id))
  Object.assign(second ?? {}, { status: "completed" })
  Object.assign(third ?? {}, { crashCount: 0 })
  table.index.delete("second")
  await pass(100)
  const next = poll()
  await pass(200)
  await next
  expect(started).toEqual(["first", "third"])
})

it("a look that fails leaves the row to a later poll, and what is behind it goes on", async () => {
  const { table, life, started, onEvent, poll } = createRelay({ concurrency: 3 })
  table.put({ id: "suspect", dueAt: Date.now() - 100, crashCount: 2 })
  table.put({ id: "unreadable now", dueAt: Date.now() - 90 })
  table.put({ id: "behind", dueAt: Date.now() - 80 })
  const boom = new Error("boom")
  life.look.mockRejectedValueOnce(boom)
  onEvent(({ id }) => (id === "suspect" ? delay(300) : Promise.resolve()))
  const done = poll()
  await pass(50)
  expect(started).toEqual(["suspect", "behind"])
  expect(life.claimFailed).toHaveBeenCalledExactlyOnceWith(
    expect.objectContaining({ id: "unreadable now" }),
    boom,
  )
  await pass(2000)
  await done
  await poll()
  expect(started).toEqual(["suspect", "behind", "unreadable now"])
})

it("stop forgets those that wait unclaimed, and waits for the one that runs", async () => {
  const { table, relay, started, onEvent, poll } = createRelay({ concurrency: 3 })
  for (const [i, id] of names(3).entries()) table.put({ id, dueAt: Date.now() - 10 + i, crashCount: 2 })
  onEvent(() => delay(300))
  await poll()
  let hasStopped = false
  void relay.stop().then(() => {
    hasStopped = true
  })
  await pass(290)
  expect(hasStopped).toBe(false)
  await pass(20)
  expect(hasStopped).toBe(true)
  expect(started).toEqual(["e0000"])
  expect(table.in("created")).toEqual(["e0001", "e0002"])
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

  it("keeps its turn though the handler before it ends while it is still being released", async () => {
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
    [1, { crashCount: 2 }],
    [5, { crashCount: 2 }],
    [50, { crashCount: 2 }],
    [1, { isLastAttempt: true }],
    [5, { isLastAttempt: true }],
    [50, { isLastAttempt: true }],
  ])("with concurrency %i, %o: few claims are released", async (concurrency, kind) => {
    const { table, life, onEvent, poll } = createRelay({ concurrency })
    for (const [i, id] of names(300).entries()) {
      table.put({ id, dueAt: Date.now() - 10_000 + i, ...(i % 2 === 1 && kind) })
    }
    Object.assign(table.latencyMs, { due: 5, look: 5, claim: 5, release: 5, complete: 5 })
    onEvent(() => delay(20))
    while (table.in("completed").length < 300) {
      const done = poll(performance.now() + 900)
      await pass(1000)
      await done
    }
    expect(life.claim.mock.calls.length).toBeLessThan("crashCount" in kind ? 1.5 * 300 : 3 * 300)
  })
})
