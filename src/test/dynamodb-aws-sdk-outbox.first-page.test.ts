/** `start(); await stop()`, as scheduled jobs call it: each call delivers a page, and ends within its bound. */
import { describe, expect, it, vi } from "vitest"
import type { Item } from "../item/event-item.ts"
import { delay, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, item } from "./outbox.fixture.ts"
import { names } from "./relay.fixture.ts"

useFakeClock()

/** An index that holds events until they are claimed. */
function backlog(count: number) {
  const waiting = new Map<string, Item>(names(count).map((id) => [id, item(id)]))
  const claimed = new Map<string, Item>()
  return {
    due: () => ({ Items: [...waiting.values()].slice(0, 5) }),
    claim: ({ Key: { id } }: { Key: { id: string } }) => {
      claimed.set(id, waiting.get(id) ?? claimed.get(id) ?? {})
      waiting.delete(id)
      return { Attributes: claimed.get(id) }
    },
    release: ({ Key: { id } }: { Key: { id: string } }) => {
      waiting.set(id, claimed.get(id) as Item)
    },
  }
}

async function job(all: ReturnType<typeof createOutbox>, forMs = 60_000): Promise<number> {
  const from = performance.now()
  let took = Number.NaN
  all.start()
  void all.outbox.stop().then(() => {
    took = performance.now() - from
  })
  await pass(forMs)
  return took
}

describe.each([1, 3, 50])("with concurrency %i, a stop right after a start", (concurrency) => {
  it("delivers a page, and so does each that follows", async () => {
    const all = createOutbox(backlog(12), { batchSize: 5, concurrency })
    for (const handled of [5, 10, 12, 12]) {
      expect(await job(all)).toBeLessThan(1000)
      expect(all.handled).toEqual(names(12).slice(0, handled))
      expect(all.inputsOf("complete")).toHaveLength(handled)
    }
    expect(vi.getTimerCount()).toBe(0)
  })

  it("starts no handler later than ten seconds after it, and releases what it has claimed", async () => {
    const all = createOutbox(backlog(200), { batchSize: 100, concurrency, processingTimeoutMs: 1000 })
    const starts: number[] = []
    const from = performance.now()
    all.onEvent(() => {
      starts.push(performance.now() - from)
      return delay(900)
    })
    const took = await job(all)
    expect(Math.max(...starts)).toBeLessThan(10_000)
    expect(took).toBeLessThan(11_000)
    expect(starts.length).toBe(Math.min(100, concurrency * Math.ceil(10_000 / 900)))
    const settled = all.inputsOf("complete").length + all.inputsOf("release").length
    expect(settled).toBe(all.inputsOf("claim").length)
  })

  it("at any moment before an event is handed over: also while it is read or claimed", async () => {
    for (const step of ["stuck", "due", "claim"] as const) {
      const answers = backlog(3)
      const slow = async (input: never) => {
        await delay(100)
        return step === "stuck" ? {} : answers[step](input)
      }
      const all = createOutbox({ ...answers, [step]: slow }, { batchSize: 5, concurrency })
      all.start()
      await pass(50)
      const stopped = all.outbox.stop()
      await pass(1000)
      await stopped
      expect([...all.handled].sort()).toEqual(names(3))
    }
  })
})

it("recovers a page, too: else what a crash left would wait for ever", async () => {
  const rows = names(120).map((id) => item(id, { status: "active" }))
  let page = 0
  const all = createOutbox(
    { stuck: () => ({ Items: rows.slice(page++ * 50, page * 50), LastEvaluatedKey: { id: "x" } }) },
    { maxRetries: 5 },
  )
  await job(all)
  expect(all.inputsOf("recover")).toHaveLength(50)
})

it("once something has been handed over, or there was nothing, starts nothing more", async () => {
  const empty = createOutbox({ due: (_, call) => ({ Items: call === 0 ? [] : [item(`e${call}`)] }) })
  empty.start()
  await pass()
  await job(empty)
  expect(empty.handled).toEqual([])

  const all = createOutbox(backlog(3), { batchSize: 5 })
  all.onEvent(() => delay(100))
  all.start()
  await pass(50)
  await job(all)
  expect(all.handled).toEqual(names(1))
})

describe("with a database that does not answer", () => {
  const never = () => new Promise(() => {})

  it.each(["stuck", "due", "claim", "complete"] as const)(
    "to %s, it ends within ten seconds",
    async (step) => {
      const all = createOutbox({ ...backlog(3), [step]: never })
      expect(await job(all)).toBeLessThanOrEqual(10_000)
    },
  )

  it("at all, it ends within ten seconds", async () => {
    const all = createOutbox({ stuck: never, due: never, claim: never })
    expect(await job(all)).toBeLessThanOrEqual(10_000)
  })
})
