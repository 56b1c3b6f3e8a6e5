import { describe, expect, it, vi } from "vitest"
import type { Row } from "../state/status-index.ts"
import { useFakeClock } from "../test/fake-clock.fixture.ts"
import { IndexRows, rowsDue } from "../test/index-rows.fixture.ts"
import { DueRows } from "./due-rows.ts"

useFakeClock()

/** More steps than any of these polls needs: one that takes more would go on for ever. */
const MAX_STEPS = 5000

type Claim = (row: Row) => "won" | "lost" | Promise<"won" | "lost">

/** Takes rows one by one until the poll has no more, as the relay does. */
async function drain(due: DueRows, claim: Claim): Promise<string[]> {
  const won: string[] = []
  for (let steps = 0; ; steps++) {
    if (steps > MAX_STEPS) throw new Error("It goes on for ever.")
    const row = due.take()
    if (row) {
      if ((await claim(row)) === "won") {
        due.won()
        won.push(row.id)
      } else {
        due.lost(row)
      }
    } else if (due.isExhausted) {
      return won
    } else {
      await due.readMore()
    }
  }
}

async function poll(due: DueRows, claim: Claim): Promise<string[]> {
  due.begin()
  const won = await drain(due, claim)
  due.end()
  return won
}

const ids = (rows: readonly { id: string }[]) => rows.map(({ id }) => id)

describe("a worker alone", () => {
  it.each([0, 1, 49, 50, 51, 100, 130])(
    "takes all of %i rows once, in order, page by page",
    async (count) => {
      const rows = rowsDue(count)
      const index = new IndexRows(rows)
      const due = new DueRows(index.read, 50)
      const won = await poll(due, ({ id }) => {
        index.delete(id)
        return "won"
      })
      expect(won).toEqual(ids(rows))
      expect(index.requests.every(({ limit }) => limit === 50)).toBe(true)
      // Each page, and once more from the start for what became due meanwhile.
      expect(index.reads).toBeLessThanOrEqual(Math.floor(count / 50) + 2)
    },
  )

  it("reads nothing before the poll has begun, and nothing after it has ended", () => {
    const due = new DueRows(new IndexRows().read, 50)
    expect(due.isExhausted).toBe(true)
    due.begin()
    expect(due.isExhausted).toBe(false)
    due.end()
    expect(due.isExhausted).toBe(true)
    expect(due.take()).toBeUndefined()
  })

  it("sees in the same poll what became due meanwhile, also ahead of the page it is on", async () => {
    const index = new IndexRows(rowsDue(3))
    const due = new DueRows(index.read, 50)
    const won = await poll(due, ({ id }) => {
      index.delete(id)
      if (id === "e0001") index.put({ id: "older", gsiSortKey: 5 })
      return "won"
    })
    expect(won).toEqual(["e0000", "e0001", "e0002", "older"])
  })

  it("takes nothing twice where the index still shows what has been taken, and comes to an end", async () => {
    const rows = rowsDue(120)
    const index = new IndexRows(rows)
    const due = new DueRows(index.read, 50)
    expect(await poll(due, () => "won")).toEqual(ids(rows))
    expect(await poll(due, () => "won")).toEqual([])
    index.put({ id: "new", gsiSortKey: 9000 })
    expect(await poll(due, () => "won")).toEqual(["new"])
  })

  it("takes an event again that became due anew", async () => {
    const index = new IndexRows(rowsDue(1))
    const due = new DueRows(index.read, 50)
    await poll(due, () => "won")
    index.put({ id: "e0000", gsiSortKey: 2000 })
    expect(await poll(due, () => "won")).toEqual(["e0000"])
  })

  it("asks again for a row that is still shown after ten seconds: it may have been mistaken", async () => {
    const due = new DueRows(new IndexRows(rowsDue(1)).read, 50)
    await poll(due, () => "won")
    vi.advanceTimersByTime(10_000)
    expect(await poll(due, () => "won")).toEqual(["e0000"])
  })

  it("wants a page while it has fewer rows than are asked for, and looks for news only when they could be claimed", async () => {
    const due = new DueRows(new IndexRows(rowsDue(3)).read, 2)
    expect(due.wantsPage(10, true)).toBe(false)
    due.begin()
    expect(due.wantsPage(10, false)).toBe(false)
    expect(due.wantsPage(10, true)).toBe(true)
    await due.readMore()
    expect(due.wantsPage(2, false)).toBe(false)
    expect(due.wantsPage(3, false)).toBe(true)
    const reading = due.readMore()
    expect(due.wantsPage(10, true)).toBe(false)
    await reading
    // From the start again: it would show once more what is at hand.
    expect(due.wantsPage(10, true)).toBe(false)
    for (let i = 0; i < 3; i++) due.take()
    expect(due.wantsPage(10, false)).toBe(false)
    expect(due.wantsPage(10, true)).toBe(true)
  })

  it("among other workers reads nothing ahead", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0)
    const due = new DueRows(new IndexRows(rowsDue(9)).read, 2)
    due.begin()
    await due.readMore()
    due.lost(due.take() as Row)
    await due.readMore()
    expect(due.wantsPage(10, true)).toBe(false)
    while (due.take()) {}
    expect(due.wantsPage(10, false)).toBe(true)
  })

  it("passes on a failing read, and can read again", async () => {
    const index = new IndexRows(rowsDue(1))
    const read = vi.fn(index.read).mockRejectedValueOnce(new Error("throttled"))
    const due = new DueRows(read, 50)
    due.begin()
    await expect(due.readMore()).rejects.toThrow("throttled")
    expect(due.isReading).toBe(false)
    expect(await drain(due, () => "won")).toEqual(["e0000"])
  })

  it("forgets a page that comes after the poll has ended", async () => {
    const due = new DueRows(new IndexRows(rowsDue(3)).read, 50)
    due.begin()
    const reading = due.readMore()
    due.end()
    await reading
    expect(due.take()).toBeUndefined()
  })
})

describe("among other workers", () => {
  /** Others are always faster. */
  const lose: Claim = () => "lost"

  it("goes elsewhere after a lost claim: a random place between the longest and the latest due", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.5)
    const index = new IndexRows(rowsDue(100))
    const due = new DueRows(index.read, 10)
    due.begin()
    await due.readMore()
    due.lost(due.take() as Row)
    expect(due.take()).toBeUndefined()
    await due.readMore()
    expect(index.requests.slice(1)).toEqual([
      { limit: 1, newestFirst: true },
      { limit: 10, from: 1000 + 495 },
    ])
    expect(due.take()?.id).toBe("e0050")
  })

  it("draws that place between the same two each time, wherever it has read since", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.5)
    const index = new IndexRows(rowsDue(100))
    const due = new DueRows(index.read, 10)
    due.begin()
    // Two pages from the start, and another from where the first loss leads.
    await due.readMore()
    await due.readMore()
    due.lost(due.take() as Row)
    await due.readMore()
    due.take()
    due.won()
    due.lost(due.take() as Row)
    await due.readMore()
    const places = index.requests.flatMap(({ from }) => from ?? [])
    expect(places).toEqual([1495, 1495])
  })

  it("begins at the start again where nothing is due any more, so there is no place to go to", async () => {
    const index = new IndexRows(rowsDue(10))
    const due = new DueRows(index.read, 5)
    due.begin()
    await due.readMore()
    for (const { id } of rowsDue(10)) index.delete(id)
    due.lost(due.take() as Row)
    await due.readMore()
    expect(index.requests.at(-1)).toEqual({ limit: 5 })
    expect(due.isExhausted).toBe(true)
  })

  it("skips at random up to all of the rest, where it has all", async () => {
    for (const [random, next] of [
      [0, "e0002"],
      [0.5, "e0006"],
      [0.999, undefined],
    ] as const) {
      vi.spyOn(Math, "random").mockReturnValue(random)
      const due = new DueRows(new IndexRows(rowsDue(10)).read, 50)
      due.begin()
      await due.readMore()
      due.lost(due.take() as Row)
      expect(due.take()?.id).toBe(next)
    }
  })

  it("asks for the latest due only once in a poll", async () => {
    const index = new IndexRows(rowsDue(100))
    const due = new DueRows(index.read, 10)
    let claims = 0
    await poll(due, ({ id }) => {
      index.delete(id)
      return claims++ % 5 === 0 ? "lost" : "won"
    })
    expect(index.requests.filter(({ newestFirst }) => newestFirst)).toHaveLength(1)
  })

  it("leaves the events to the others after two lost claims in a row", async () => {
    const claim = vi.fn<Claim>(lose)
    const due = new DueRows(new IndexRows(rowsDue(200)).read, 10)
    expect(await poll(due, claim)).toEqual([])
    expect(claim).toHaveBeenCalledTimes(2)
    expect(due.mayHaveMissed).toBe(true)
  })

  it("stays after lost claims that are not in a row", async () => {
    const index = new IndexRows(rowsDue(100))
    const due = new DueRows(index.read, 10)
    let claims = 0
    const won = await poll(due, ({ id }) => {
      index.delete(id)
      return claims++ % 2 < 1 ? "lost" : "won"
    })
    expect(claims).toBe(100)
    expect(won.length).toBe(50)
  })

  it("where one page holds all, skips some of it instead of reading", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0)
    const index = new IndexRows(rowsDue(5))
    const due = new DueRows(index.read, 50)
    due.begin()
    await due.readMore()
    due.lost(due.take() as Row)
    expect(due.take()?.id).toBe("e0002")
    expect(index.reads).toBe(1)
  })

  it("begins the next poll at the start again", async () => {
    const index = new IndexRows(rowsDue(100))
    const due = new DueRows(index.read, 10)
    await poll(due, lose)
    due.begin()
    await due.readMore()
    expect(index.requests.at(-1)).toEqual({ limit: 10 })
  })

  it("reads from the start where nothing tells how far the due events reach", async () => {
    const { read } = new IndexRows(rowsDue(20))
    const without = vi.fn(async (request: Parameters<typeof read>[0]) =>
      request.newestFirst ? { rows: [] } : read(request),
    )
    const due = new DueRows(without, 10)
    due.begin()
    await due.readMore()
    due.lost(due.take() as Row)
    await due.readMore()
    expect(without).toHaveBeenLastCalledWith({ limit: 10 })
  })

  it.each([
    ["the index shows at once", 0],
    ["the index lags behind", 1],
  ])("several workers take each event exactly once and come to an end, where %s", async (_, lag) => {
    const rows = rowsDue(400)
    const index = new IndexRows(rows)
    const owners = new Map<string, number>()
    const worker = async (name: number) => {
      const due = new DueRows(index.read, 20)
      const won: string[] = []
      // Polls as a relay would, until nothing is left for it.
      for (let polls = 0; owners.size < rows.length; polls++) {
        if (polls > 200) throw new Error("Some events are never taken.")
        const claim: Claim = async ({ id }) => {
          await Promise.resolve()
          if (owners.has(id)) return "lost"
          owners.set(id, name)
          if (lag === 0) index.delete(id)
          return "won"
        }
        won.push(...(await poll(due, claim)))
        vi.advanceTimersByTime(1000)
      }
      return won
    }
    const taken = (await Promise.all([1, 2, 3, 4].map(worker))).flat()
    expect(taken.sort()).toEqual(ids(rows))
  })

  it("comes to an end where every row is stale, however the claims end", async () => {
    for (const pattern of ["won", "lost", "mixed"] as const) {
      const due = new DueRows(new IndexRows(rowsDue(300)).read, 20)
      let claims = 0
      const claim: Claim = () => (pattern === "mixed" ? (claims++ % 3 === 0 ? "won" : "lost") : pattern)
      for (let polls = 0; polls < 5; polls++) await poll(due, claim)
    }
  })

  it("comes to an end where all events are due at the same moment", async () => {
    const index = new IndexRows(rowsDue(100).map(({ id }) => ({ id, gsiSortKey: 1000 })))
    const due = new DueRows(index.read, 10)
    let claims = 0
    await poll(due, () => (claims++ % 2 === 0 ? "lost" : "won"))
    expect(claims).toBeLessThanOrEqual(100)
  })
})
