/** Claim, complete and fail, as far as they are more than a write. */
import { NumberValue } from "@aws-sdk/lib-dynamodb"
import { HandlerError, MaxRetriesExceededError, OperationalError, ValidationError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { NOW, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, event, holding, item, named, refused } from "./outbox.fixture.ts"

useFakeClock()

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
  const failing = (
    more: Parameters<typeof item>[1],
    thrown: { error: unknown } = { error: boom },
    answers: Parameters<typeof createOutbox>[0] = {},
  ) => {
    const all = createOutbox({ ...holding(item("e1", more)), ...answers })
    all.onEvent(() => Promise.reject(thrown.error))
    return all
  }

  it.each([
    [20_000, 20_000],
    [undefined, 32_000],
  ])("is retried after at most maxBackoffMs (%o)", async (maxBackoffMs, delayMs) => {
    vi.spyOn(Math, "random").mockReturnValue(0.5) // no jitter
    const all = createOutbox(holding(item("e1", { retryCount: 5 })), {
      maxRetries: 10,
      maxBackoffMs,
    })
    all.onEvent(() => Promise.reject(new Error("boom")))
    all.start()
    await pass(100)
    expect(all.inputsOf("fail")[0]?.ExpressionAttributeValues[":set_nextRetryAt"]).toBe(NOW + delayMs)
    await all.outbox.stop()
  })

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

  it("for the last time, when the event is not this worker's any more, has made no dead letter", async () => {
    const all = failing({ retryCount: 4 }, { error: boom }, { fail: () => Promise.reject(refused()) })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.errors).toEqual([expect.any(HandlerError)])
  })

  it("for the last time, and can't be written for as long as a lease, has made no dead letter either", async () => {
    const down = new Error("down")
    const all = failing({ retryCount: 4 }, { error: boom }, { fail: () => Promise.reject(down) })
    all.start()
    await pass(60_000)
    await all.outbox.stop()
    expect(all.errors).toContainEqual(
      expect.objectContaining({ cause: down, message: 'Could not settle event "e1"' }),
    )
    expect(all.errors.filter(({ cause }) => cause === boom)).toEqual([expect.any(HandlerError)])
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
  ])("is set aside as failed with the reason, and the events behind it go on: %s", async (_, bad, reason) => {
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
