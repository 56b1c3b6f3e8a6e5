/** Claim, complete, fail and recover, as far as they are more than a write. */
import { NumberValue } from "@aws-sdk/lib-dynamodb"
import {
  HandlerError,
  MaintenanceError,
  MaxRetriesExceededError,
  OperationalError,
  ValidationError,
} from "outbox-event-bus"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { createOutbox, event, holding, item, NOW, named, refused } from "./outbox.fixture.ts"

beforeEach(() => {
  vi.useFakeTimers({ now: NOW })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms)
const boom = new Error("boom")

describe("an event", () => {
  it("is handled after this worker's own successful claim only, as the item is by then, and completed", async () => {
    const now = item("e1", { payload: { n: NumberValue.from("5") }, metadata: { by: "me" } })
    const all = createOutbox({
      due: (_, call) => ({ Items: call === 0 ? [item("e1", { payload: "stale" })] : [] }),
      claim: () => ({ Attributes: now }),
    })
    all.onEvent(async (busEvent) => {
      expect(busEvent).toEqual(event("e1", { payload: { n: 5 }, metadata: { by: "me" } }))
      expect(all.steps()).not.toContain("complete")
    })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.errors).toEqual([])
    expect(all.steps()).toEqual(["stuck", "due", "claim", "complete", "due"])
    const [claim] = all.inputsOf("claim")
    expect(claim?.ExpressionAttributeValues).toMatchObject({
      ":set_gsiSortKey": NOW + 30_000,
      ":set_startedOn": NOW,
    })
    expect(all.inputsOf("complete")[0]).toMatchObject({ Key: { id: "e1" } })
  })

  it("whose claim is refused is another worker's, and no error", async () => {
    const all = createOutbox({ ...holding(item("e1")), claim: () => Promise.reject(refused()) })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.handled).toEqual([])
    expect(all.errors).toEqual([])
    expect(all.steps()).not.toContain("fail")
  })

  it("has a claim token of its own, fresh for each claim", async () => {
    const all = createOutbox(holding(item("e1"), item("e2")))
    all.start()
    await pass()
    await all.outbox.stop()
    const tokens = all.inputsOf("claim").map((input) => input.ExpressionAttributeValues[":set_claimToken"])
    expect(new Set(tokens).size).toBe(2)
  })

  it("that was deleted or completed by others while its handler ran is no error", async () => {
    const all = createOutbox({ ...holding(item("e1")), complete: () => Promise.reject(refused()) })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.handled).toEqual(["e1"])
    expect(all.errors).toEqual([])
  })
})

describe("a handler that fails", () => {
  const failing = (more: Parameters<typeof item>[1], thrown: { error: unknown } = { error: boom }) => {
    const all = createOutbox(holding(item("e1", more)))
    all.onEvent(() => Promise.reject(thrown.error))
    return all
  }

  it("is retried after the backoff, and reported as a HandlerError", async () => {
    const all = failing({ retryCount: NumberValue.from("2") })
    vi.spyOn(Math, "random").mockReturnValue(0.5)
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.inputsOf("fail").map((input) => input.ExpressionAttributeValues)).toEqual([
      expect.objectContaining({
        ":set_status": "created",
        ":set_retryCount": 3,
        ":set_lastError": "boom",
        ":set_gsiSortKey": NOW + 4000,
        ":set_nextRetryAt": NOW + 4000,
      }),
    ])
    expect(all.errors).toEqual([expect.any(HandlerError)])
    expect(all.errors[0]).toMatchObject({ cause: boom, event: { id: "e1" } })
  })

  it("for the last time makes a dead letter under the time of its occurrence, reported as MaxRetriesExceededError", async () => {
    const all = failing({ retryCount: 4 })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.inputsOf("fail")[0]?.ExpressionAttributeValues).toMatchObject({
      ":set_status": "failed",
      ":set_retryCount": 5,
      ":set_gsiSortKey": NOW - 60_000,
    })
    expect(all.errors).toEqual([expect.any(MaxRetriesExceededError)])
    expect(all.errors[0]).toMatchObject({
      cause: boom,
      retryCount: 5,
      event: { id: "e1", error: "boom", retryCount: 5 },
      message: "Max retries exceeded (5). Event moved to DLQ.",
    })
  })

  it("with a ConditionalCheckFailedException of its own fails like any other", async () => {
    const own = refused()
    const all = failing({}, { error: own })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.inputsOf("fail")).toHaveLength(1)
    expect(all.errors).toEqual([expect.any(HandlerError)])
    expect(all.errors[0]?.cause).toBe(own)
  })

  it.each([["text"], [undefined], [null], [Object.create(null)]])(
    "with %o, which is no error, too",
    async (thrown) => {
      const all = failing({}, { error: thrown })
      all.start()
      await pass()
      await all.outbox.stop()
      expect(all.inputsOf("fail")).toHaveLength(1)
      expect(all.errors[0]?.cause).toBe(thrown)
    },
  )

  it("after its claim was lost is reported once, and changes nothing", async () => {
    const all = createOutbox({
      ...holding(item("e1", { retryCount: 4 })),
      fail: () => Promise.reject(refused()),
    })
    all.onEvent(() => Promise.reject(boom))
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.errors).toEqual([expect.any(HandlerError)])
    expect(all.inputsOf("fail")).toHaveLength(1)
  })
})

describe("onError that fails itself", () => {
  it.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("broken")
      },
    ],
    ["rejects", () => Promise.reject(new Error("broken"))],
  ])("changes nothing but a process warning: it %s", async (_, onError) => {
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
    const all = createOutbox(holding(item("e1"), item("e2")))
    const handled: string[] = []
    all.outbox.start(
      async ({ id }) => {
        handled.push(id)
        throw boom
      },
      onError as () => void,
    )
    await pass(500)
    await all.outbox.stop()
    expect(handled).toEqual(["e1", "e2"])
    expect(all.inputsOf("fail")).toHaveLength(2)
    expect(warning.mock.calls.map(([text]) => text)).toEqual([
      expect.stringContaining("broken"),
      expect.stringContaining("broken"),
    ])
  })
})

describe("an item that can't be read as an event", () => {
  it.each([
    ["no type", { type: undefined }, "type is undefined"],
    [
      "a number JavaScript can't hold",
      { payload: NumberValue.from("1e300") },
      "payload holds the number 1e300",
    ],
    ["no time", { occurredAt: "?" }, "occurredAt is '?'"],
  ])("is put aside as failed with the reason, and the events behind it go on: %s", async (_, bad, reason) => {
    const all = createOutbox(holding(item("bad", bad), item("good")))
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.handled).toEqual(["good"])
    expect(all.inputsOf("fail").map((input) => [input.Key.id, input.ExpressionAttributeValues])).toEqual([
      [
        "bad",
        expect.objectContaining({
          ":set_status": "failed",
          ":set_lastError": expect.stringContaining(reason),
        }),
      ],
    ])
    expect(all.errors).toEqual([expect.any(ValidationError)])
    expect(all.errors[0]?.message).toContain(reason)
  })

  it("that DynamoDB itself refuses to update is reported, and the events behind it go on", async () => {
    const answers = holding(item("bad"), item("good"))
    const all = createOutbox({
      ...answers,
      claim: (input, call) =>
        input.Key.id === "bad" ? Promise.reject(named("ValidationException")) : answers.claim?.(input, call),
    })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.handled).toEqual(["good"])
    expect(all.errors).toEqual([expect.any(OperationalError)])
    expect(all.errors[0]?.message).toBe('Could not claim event "bad"')
    expect(all.inputsOf("release")).toEqual([])
  })
})

describe("a lost answer", () => {
  it("of a claim: the event is given back, since it may be claimed, and is claimed again in the next poll", async () => {
    const answers = holding(item("e1"))
    const all = createOutbox({
      ...answers,
      due: () => ({ Items: all.handled.length === 0 ? [item("e1")] : [] }),
      claim: (input, call) =>
        call === 0 ? Promise.reject(new Error("socket hang up")) : answers.claim?.(input, call),
    })
    all.start()
    await pass()
    const [claim] = all.inputsOf("claim")
    const [release] = all.inputsOf("release")
    expect(release?.ExpressionAttributeValues).toMatchObject({
      ":mine": claim?.ExpressionAttributeValues[":set_claimToken"],
      ":myLease": claim?.ExpressionAttributeValues[":set_gsiSortKey"],
      ":set_gsiSortKey": NOW - 60_000,
    })
    expect(all.errors).toHaveLength(1)
    await pass(5000)
    await all.outbox.stop()
    expect(all.handled).toEqual(["e1"])
    expect(all.inputsOf("claim")).toHaveLength(2)
  })

  it("of a claim is still an error where giving back fails, too, but only one", async () => {
    const all = createOutbox({
      ...holding(item("e1")),
      claim: () => Promise.reject(new Error("socket hang up")),
      release: () => Promise.reject(new Error("still down")),
    })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.errors).toEqual([expect.any(OperationalError)])
    expect(all.errors[0]?.cause).toMatchObject({ message: "socket hang up" })
  })

  it("of a claim while stopping: nothing more is sent to a database that fails", async () => {
    let lose: (error: Error) => void = () => {}
    const all = createOutbox({
      ...holding(item("e1")),
      claim: () =>
        new Promise((_, reject) => {
          lose = reject
        }),
    })
    all.start()
    await pass()
    const stopped = all.outbox.stop()
    lose(new Error("socket hang up"))
    await pass(100)
    await stopped
    expect(all.steps()).toEqual(["stuck", "due", "claim"])
  })

  it.each(["complete", "fail"] as const)("of %s: it is written again, and reported once", async (step) => {
    const all = createOutbox({
      ...holding(item("e1")),
      [step]: (_: unknown, call: number) => (call < 2 ? Promise.reject(new Error("socket hang up")) : {}),
    })
    if (step === "fail") all.onEvent(() => Promise.reject(boom))
    all.start()
    await pass(1000)
    await all.outbox.stop()
    expect(all.handled).toEqual(["e1"])
    const writes = all.inputsOf(step)
    expect(writes).toHaveLength(3)
    expect(writes[1]).toEqual(writes[0])
    const settling = all.errors.filter(({ message }) => message === 'Could not settle event "e1"')
    expect(settling).toHaveLength(1)
    expect(all.errors).toHaveLength(step === "fail" ? 2 : 1)
  })

  describe("of a renewal", () => {
    /** The second event is claimed while the handler of the first one runs, and renewed after 22.5 s. */
    const createWaiting = (firstTakesMs: number, renew: (call: number) => unknown) => {
      const answers = holding(item("e1"), item("e2"))
      const all = createOutbox({ ...answers, renew: (_, call) => renew(call) })
      all.onEvent(async ({ id }) => {
        if (id === "e2") throw boom
        await new Promise((resolve) => setTimeout(resolve, firstTakesMs))
      })
      return all
    }
    const lost = () => Promise.reject(new Error("socket hang up"))

    it("has the same one tried again, since it may be written", async () => {
      const all = createWaiting(23_000, (call) => (call === 0 ? lost() : {}))
      all.start()
      await pass(23_100)
      await all.outbox.stop()
      expect(all.handled).toEqual(["e1", "e2"])
      const ends = all.inputsOf("renew").map((input) => input.ExpressionAttributeValues[":set_gsiSortKey"])
      expect(ends).toEqual([NOW + 52_500, NOW + 52_500])
      expect(all.inputsOf("fail")[0]?.ExpressionAttributeValues).toMatchObject({
        ":myLease": NOW + 52_500,
        ":myOtherLease": NOW + 52_500,
      })
    })

    it("leaves the claim mine under either lease end", async () => {
      const all = createWaiting(22_500, lost)
      all.start()
      await pass(22_600)
      await all.outbox.stop()
      expect(all.handled).toEqual(["e1", "e2"])
      expect(all.inputsOf("fail")[0]?.ExpressionAttributeValues).toMatchObject({
        ":myLease": NOW + 30_000,
        ":myOtherLease": NOW + 52_500,
      })
    })

    it("that is refused has the event dropped", async () => {
      const all = createWaiting(23_000, () => Promise.reject(refused()))
      all.start()
      await pass(23_100)
      await all.outbox.stop()
      expect(all.handled).toEqual(["e1"])
      expect(all.errors).toEqual([])
    })
  })
})

describe("recovery", () => {
  const stuck = (more: Parameters<typeof item>[1] = {}) =>
    item("e1", { status: "active", gsiSortKey: NOW - 1, startedOn: NOW - 30_001, ...more })
  /** The table recovers the item as asked. */
  const recovering = (row: ReturnType<typeof item>, whole = row) => ({
    stuck: (_: unknown, call: number) => ({ Items: call === 0 ? [row] : [] }),
    get: () => ({ Item: whole }),
    recover: () => ({ Attributes: whole }),
  })

  it("counts a lease that is over as a failed attempt, and reports it", async () => {
    const all = createOutbox(recovering(stuck({ retryCount: NumberValue.from("1") })))
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.inputsOf("recover")[0]?.ExpressionAttributeValues).toMatchObject({
      ":set_status": "created",
      ":set_retryCount": 2,
      ":set_lastError": "Processing timeout",
      ":now": NOW,
      ":seenCount": NumberValue.from("1"),
    })
    expect(all.errors).toEqual([expect.any(HandlerError)])
    expect(all.errors[0]).toMatchObject({ event: event("e1"), cause: { message: "Processing timeout" } })
    expect(all.steps()).not.toContain("get")
  })

  it("makes a dead letter of the last attempt", async () => {
    const all = createOutbox(recovering(stuck({ retryCount: 4 })))
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.inputsOf("recover")[0]?.ExpressionAttributeValues[":set_status"]).toBe("failed")
    expect(all.errors).toEqual([expect.any(MaxRetriesExceededError)])
  })

  it("reads the item where the index holds keys only", async () => {
    const keys = { id: "e1", status: "active", gsiSortKey: NOW - 1 }
    const all = createOutbox(recovering(keys, stuck({ retryCount: 4 })))
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.inputsOf("get")).toEqual([{ TableName: "outbox", Key: { id: "e1" }, ConsistentRead: true }])
    expect(all.inputsOf("recover")[0]?.ExpressionAttributeValues).toMatchObject({
      ":set_retryCount": 5,
      ":seenCount": 4,
    })
  })

  it("that loses to the owner's renewal or completion is silent", async () => {
    const all = createOutbox({ ...recovering(stuck()), recover: () => Promise.reject(refused()) })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.errors).toEqual([])
  })

  it("of an item that is gone asks for the write's refusal, and is silent", async () => {
    const keys = { id: "e1", status: "active", gsiSortKey: NOW - 1 }
    const all = createOutbox({
      ...recovering(keys),
      get: () => ({}),
      recover: () => Promise.reject(refused()),
    })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.errors).toEqual([])
  })

  it("puts aside an item that turns out unreadable", async () => {
    const { payload, ...damaged } = stuck()
    const all = createOutbox(recovering(damaged))
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.inputsOf("setAside")[0]?.ExpressionAttributeValues).toMatchObject({
      ":set_status": "failed",
      ":set_lastError": expect.stringContaining("payload is missing"),
    })
    expect(all.errors).toEqual([expect.any(ValidationError)])
  })

  it("reports with what is known where the answer has no item, as from a mocked client", async () => {
    const all = createOutbox({ ...recovering(stuck()), recover: () => undefined })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.errors[0]).toMatchObject({ event: { id: "e1", type: "order.placed" } })
  })

  it("that fails is reported as a MaintenanceError, and due events are delivered all the same", async () => {
    const all = createOutbox({ ...holding(item("e2")), stuck: () => Promise.reject(new Error("throttled")) })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.handled).toEqual(["e2"])
    expect(all.errors).toEqual([expect.any(MaintenanceError)])
  })

  it("of before makes its event run with nothing beside it", async () => {
    const suspect = item("suspect", { lastError: "Processing timeout", retryCount: 1 })
    const items = [item("a"), suspect, item("b")]
    const all = createOutbox(
      {
        ...holding(...items),
        due: () => ({ Items: items.filter(({ id }) => !all.handled.includes(id as string)) }),
      },
      { concurrency: 10 },
    )
    const beside: string[][] = []
    const open = () => {
      const ids = (step: "claim" | "release" | "complete") => all.inputsOf(step).map((input) => input.Key.id)
      const given = [...ids("release"), ...ids("complete")]
      return ids("claim").filter((id) => {
        const i = given.indexOf(id)
        if (i >= 0) given.splice(i, 1)
        return i < 0
      })
    }
    all.onEvent(async ({ id }) => {
      if (id !== "suspect") return
      beside.push(open())
      await new Promise((resolve) => setTimeout(resolve, 50))
      beside.push(open())
    })
    all.start()
    await pass(1000)
    await all.outbox.stop()
    expect(all.handled).toEqual(["a", "suspect", "b"])
    expect(beside).toEqual([["suspect"], ["suspect"]])
  })
})
