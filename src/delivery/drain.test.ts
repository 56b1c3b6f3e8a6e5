import type { OutboxError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import type { DynamoDBAwsSdkOutboxConfig } from "../config.ts"
import { resolveConfig } from "../config.ts"
import { EventTable } from "../test/event-operations.fixture.ts"
import { delay, NOW, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { Drain } from "./drain.ts"
import type { StuckEvents } from "./event-operations.ts"
import { getHandlerContext } from "./handler-context.ts"
import { HandlerDurations } from "./handler-durations.ts"
import { type DrainBounds, DrainLimit } from "./start-limit.ts"

useFakeClock()

type Options = Partial<DynamoDBAwsSdkOutboxConfig> & { bounds?: DrainBounds; given?: string[] }

function createDrain({ bounds = {}, given, ...options }: Options = {}) {
  const table = new EventTable()
  const operations = {
    ...table.life(),
    stuck: vi.fn<StuckEvents["stuck"]>(async () => ({ rows: [] })),
    recover: vi.fn<StuckEvents["recover"]>(async () => "retried"),
    recoveryFailed: vi.fn<StuckEvents["recoveryFailed"]>(),
  }
  const client = { send: () => {} } as never
  const config = resolveConfig({ client, tableName: "outbox", processingTimeoutMs: 10_000, ...options })
  const durations = new HandlerDurations()
  const claimsUndone = vi.fn(async () => {})
  const limit = new DrainLimit(bounds, durations)
  const drain = new Drain(
    operations,
    config,
    claimsUndone,
    limit,
    durations,
    given?.map((id) => ({ id })),
  )
  const errors: OutboxError[] = []
  const started: string[] = []
  const run = (work: (id: string) => Promise<void> = async () => {}) =>
    drain.run(
      async ({ id }) => {
        started.push(id)
        await work(id)
      },
      (error) => void errors.push(error),
    )
  return { table, operations, drain, durations, claimsUndone, run, started, errors }
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `e${String(i).padStart(3, "0")}`)
const at = (ms: number) => new Date(NOW + ms)

/** What the drain has come to after `ms`; undefined while it runs. */
async function outcomeAfter(ms: number, running: Promise<unknown>): Promise<unknown> {
  let outcome: unknown
  running.then(
    (result) => {
      outcome = result
    },
    (error) => {
      outcome = error
    },
  )
  await pass(ms)
  return outcome
}

describe("a drain", () => {
  it("asks for expired leases and for due events, once each where there are none", async () => {
    const { operations, run } = createDrain()
    expect(await outcomeAfter(0, run())).toMatchObject({ delivered: 0, reason: "empty" })
    expect(operations.stuck).toHaveBeenCalledOnce()
    expect(operations.due).toHaveBeenCalledOnce()
  })

  it("delivers what is due, recovers from time to time, and counts what became of everything", async () => {
    const { table, operations, run, started } = createDrain()
    table.putAll(names(10))
    operations.stuck.mockImplementationOnce(async () => ({ rows: [{ id: "stuck" }] }))
    const result = await outcomeAfter(
      60_000,
      run(async (id) => {
        await delay(2000)
        if (id === "e003") throw new Error("no")
      }),
    )
    expect(result).toEqual({ delivered: 9, retried: 1, deadLettered: 1, released: 0, reason: "empty" })
    expect(started).toEqual(names(10))
    expect(operations.stuck.mock.calls.length).toBe(3)
  })

  it("looks again after handlers that ran beside the last look, since they may have emitted", async () => {
    const { table, run, started } = createDrain({ concurrency: 5 })
    table.putAll(["a"])
    const result = await outcomeAfter(
      5000,
      run(async (id) => {
        await delay(100)
        if (id === "a") table.put({ id: "b" })
      }),
    )
    expect(result).toMatchObject({ delivered: 2, reason: "empty" })
    expect(started).toEqual(["a", "b"])
  })

  it("looks again where a page was read while handlers ran, though nothing runs any more", async () => {
    const { table, run, started } = createDrain({ concurrency: 5 })
    table.putAll(["a"])
    table.latencyMs.due = 30
    const result = await outcomeAfter(
      5000,
      run(async (id) => {
        await delay(10)
        if (id === "a") table.put({ id: "b" })
      }),
    )
    expect(result).toMatchObject({ delivered: 2, reason: "empty" })
    expect(started).toEqual(["a", "b"])
  })

  it("ends when claims of unknown outcome are undone", async () => {
    const { run, claimsUndone } = createDrain()
    claimsUndone.mockImplementation(() => delay(500))
    const running = run()
    expect(await outcomeAfter(499, running)).toBeUndefined()
    expect(await outcomeAfter(1, running)).toMatchObject({ reason: "empty" })
  })

  it("looks three times for what other workers are about to take, with pauses", async () => {
    const { table, operations, run } = createDrain()
    table.putAll(names(5))
    operations.claim.mockImplementation(async () => ({ kind: "lost" }))
    const running = run()
    expect(await outcomeAfter(150, running)).toBeUndefined()
    expect(await outcomeAfter(1000, running)).toMatchObject({ delivered: 0, reason: "empty" })
    expect(operations.due.mock.calls.length).toBeGreaterThanOrEqual(3)
  })

  it("goes on though expired leases can't be read, and reports that", async () => {
    const { table, operations, run, errors } = createDrain()
    table.putAll(["a"])
    operations.stuck.mockRejectedValue(new Error("no index"))
    expect(await outcomeAfter(1000, run())).toMatchObject({ delivered: 1 })
    expect(errors[0]).toMatchObject({ name: "MaintenanceError" })
  })

  it("rejects if the table can't be read", async () => {
    const { operations, run } = createDrain()
    const cause = new Error("no table")
    operations.due.mockRejectedValue(cause)
    expect(await outcomeAfter(1000, run())).toMatchObject({
      name: "OperationalError",
      message: 'Could not drain: can\'t read table "outbox": no table',
      cause,
      context: { result: { delivered: 0 } },
    })
  })

  it("rejects if it can't be read any more, with what was done before", async () => {
    const { table, operations, run } = createDrain({ concurrency: 3 })
    table.putAll(["a"])
    const read = operations.due.getMockImplementation() as typeof operations.due
    operations.due.mockImplementation(async (request) => {
      if (operations.due.mock.calls.length > 2) throw new Error("gone")
      return read(request)
    })
    expect(
      await outcomeAfter(
        5000,
        run(() => delay(50)),
      ),
    ).toMatchObject({
      message: 'The drain of table "outbox" was interrupted: gone',
      context: { result: { delivered: 1 } },
    })
  })
})

describe("before a deadline", () => {
  it("starts nothing that is likely to take longer, and releases what was claimed ahead", async () => {
    const { table, run, started } = createDrain({ bounds: { deadline: at(5000) } })
    table.putAll(names(50))
    const result = await outcomeAfter(
      4600,
      run(() => delay(1000)),
    )
    // One begins at 0, 1, 2 and 3 s; one that begins at 4 s would end at the deadline.
    expect(started).toHaveLength(4)
    expect(result).toMatchObject({ delivered: 4, reason: "deadline" })
    expect(table.in("active")).toEqual([])
    expect(table.in("created")).toHaveLength(46)
  })

  it("looks at nothing where there is no time", async () => {
    const { operations, run, durations } = createDrain({ bounds: { deadline: at(400) } })
    const forget = vi.spyOn(durations, "forget")
    expect(await outcomeAfter(0, run())).toMatchObject({ delivered: 0, reason: "deadline" })
    expect(operations.due).not.toHaveBeenCalled()
    expect(forget).toHaveBeenCalledOnce()
  })

  it("tells handlers half a second before, and resolves a tenth of a second before, whatever runs", async () => {
    const { table, run, errors } = createDrain({ bounds: { deadline: at(5000) } })
    table.putAll(["a", "b"])
    let isTold = false
    const running = run(async () => {
      getHandlerContext()?.signal.addEventListener("abort", () => {
        isTold = true
      })
      await delay(60_000)
    })
    expect(await outcomeAfter(4499, running)).toBeUndefined()
    expect(isTold).toBe(false)
    await pass(1)
    expect(isTold).toBe(true)
    expect(table.in("created")).toEqual(["b"])
    expect(await outcomeAfter(399, running)).toBeUndefined()
    expect(await outcomeAfter(1, running)).toMatchObject({ delivered: 0, reason: "deadline" })
    expect(table.in("active")).toEqual(["a"])
    expect(errors).toMatchObject([
      { message: expect.stringContaining("1 handlers were still running"), context: { running: 1 } },
    ])
    // The process goes on, and so does the handler.
    await pass(60_000)
    expect(table.in("completed")).toEqual(["a"])
  })

  it("rejects where no response has come by then", async () => {
    const { table, run } = createDrain({ bounds: { deadline: at(5000) } })
    table.latencyMs.due = Number.POSITIVE_INFINITY
    const running = run()
    expect(await outcomeAfter(4899, running)).toBeUndefined()
    expect(await outcomeAfter(1, running)).toMatchObject({
      message: 'Could not drain: can\'t read table "outbox": No response came before the deadline',
      cause: { message: "No response came before the deadline" },
    })
  })

  it("rejects where requests fail so slowly that its time is up", async () => {
    const { operations, run } = createDrain({ bounds: { deadline: at(1300) } })
    const fail = async () => {
      await delay(900)
      throw new Error("slow")
    }
    operations.stuck.mockImplementation(fail)
    operations.due.mockImplementation(fail)
    expect(await outcomeAfter(1300, run())).toMatchObject({ name: "OperationalError" })
  })

  it("resolves where it is only recovering", async () => {
    const { operations, run } = createDrain({ bounds: { deadline: at(2000) } })
    operations.stuck.mockImplementation(async () => ({ rows: names(50).map((id) => ({ id })), next: {} }))
    operations.recover.mockImplementation(async () => {
      await delay(300)
      return "retried"
    })
    expect(await outcomeAfter(2000, run())).toMatchObject({ delivered: 0, reason: "deadline" })
  })

  it("keeps no timer of its own when it has ended", async () => {
    const { run } = createDrain({ bounds: { deadline: () => 3_000_000_000 } })
    expect(await outcomeAfter(0, run())).toMatchObject({ reason: "empty" })
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe("a stop", () => {
  it("waits for what outlasts the deadline, too", async () => {
    const { table, run, drain } = createDrain({ bounds: { deadline: at(1000) } })
    table.putAll(["a"])
    expect(
      await outcomeAfter(
        1000,
        run(() => delay(5000)),
      ),
    ).toMatchObject({ delivered: 0, reason: "deadline" })
    const stopped = drain.stop().then(() => "stopped")
    expect(await outcomeAfter(3900, stopped)).toBeUndefined()
    expect(await outcomeAfter(200, stopped)).toBe("stopped")
    expect(table.in("completed")).toEqual(["a"])
  })

  it("recovers no further, and neither does a deadline", async () => {
    for (const [bounds, stop] of [
      [{ deadline: at(1000) }, () => {}],
      [{}, (drain: Drain) => void drain.stop()],
    ] as const) {
      vi.setSystemTime(NOW)
      const { operations, run, drain } = createDrain({ bounds })
      operations.stuck.mockImplementation(async () => ({ rows: names(50).map((id) => ({ id })), next: {} }))
      operations.recover.mockImplementation(async () => {
        await delay(400)
        return "retried"
      })
      const running = run()
      await pass(450)
      stop(drain)
      expect(await outcomeAfter(550, running)).toMatchObject({
        reason: bounds === undefined ? "" : expect.any(String),
      })
      const { length } = operations.recover.mock.calls
      expect(length).toBeLessThanOrEqual(30)
      await pass(10_000)
      expect(operations.recover.mock.calls).toHaveLength(length)
    }
  })
})

describe("a delivery of given events", () => {
  it("claims these and no others, and reads no index", async () => {
    const { table, operations, run, started, drain } = createDrain({
      given: ["e002", "e001"],
      concurrency: 2,
    })
    table.putAll(names(5))
    expect(
      await outcomeAfter(
        1000,
        run(() => delay(10)),
      ),
    ).toMatchObject({ delivered: 2, reason: "empty" })
    expect(started).toEqual(["e002", "e001"])
    expect(operations.due).not.toHaveBeenCalled()
    expect(operations.stuck).not.toHaveBeenCalled()
    expect([...drain.unclaimed]).toEqual([])
  })

  it("names those whose claim has failed, and goes on with the others", async () => {
    const { table, operations, run, drain } = createDrain({ given: names(5), concurrency: 2 })
    table.putAll(names(5))
    const claim = operations.claim.getMockImplementation() as typeof operations.claim
    operations.claim.mockImplementation(async (row) => {
      if (row.id === "e002") throw new Error("throttled")
      return row.id === "e003" ? { kind: "unreadable" } : claim(row)
    })
    expect(await outcomeAfter(1000, run())).toMatchObject({ delivered: 3, deadLettered: 1 })
    expect([...drain.unclaimed]).toEqual(["e002"])
    expect(operations.claimFailed).toHaveBeenCalledOnce()
  })

  it("names all of them where nothing can be claimed, and reports why", async () => {
    const { operations, run, drain, errors } = createDrain({ given: names(100), batchSize: 3 })
    operations.claim.mockRejectedValue(new Error("away"))
    expect(await outcomeAfter(1000, run())).toMatchObject({ delivered: 0 })
    expect([...drain.unclaimed].toSorted()).toEqual(names(100))
    expect(operations.claim.mock.calls.length).toBeLessThan(100)
    expect(errors).toMatchObject([
      { message: 'Could not deliver: no event can be claimed in table "outbox": away' },
    ])
  })

  it("leaves what it has no time for", async () => {
    const { table, run, started, drain } = createDrain({ given: names(10), bounds: { deadline: at(2000) } })
    table.putAll(names(10))
    expect(
      await outcomeAfter(
        2000,
        run(() => delay(500)),
      ),
    ).toMatchObject({ reason: "deadline" })
    expect(started).toHaveLength(2)
    expect(table.in("created")).toHaveLength(8)
    expect([...drain.unclaimed]).toEqual([])
  })
})
