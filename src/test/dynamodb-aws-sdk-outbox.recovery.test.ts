/** Events whose lease has expired. */
import { NumberValue } from "@aws-sdk/lib-dynamodb"
import { HandlerError, MaintenanceError, MaxRetriesExceededError, ValidationError } from "outbox-event-bus"
import { describe, expect, it } from "vitest"
import { delay, NOW, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, event, holding, item, refused } from "./outbox.fixture.ts"

useFakeClock()

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

  it("writes to the item that is stuck, with a token of its own each time", async () => {
    const rows = [stuck(), { ...stuck(), id: "e2" }]
    const all = createOutbox({ stuck: (_, call) => ({ Items: call === 0 ? rows : [] }) })
    all.start()
    await pass()
    await all.outbox.stop()
    const inputs = all.inputsOf("recover")
    expect(inputs.map(({ Key }) => Key)).toEqual([{ id: "e1" }, { id: "e2" }])
    const tokens = inputs.map((input) => input.ExpressionAttributeValues[":set_claimToken"])
    expect(tokens).toEqual([expect.any(String), expect.any(String)])
    expect(new Set(tokens).size).toBe(2)
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

  it.each(["retryCount", "occurredAt"])(
    "reads the item where the index carries only its %s",
    async (name) => {
      const whole = stuck({ retryCount: 4 })
      const row = { id: "e1", status: "active", gsiSortKey: NOW - 1, [name]: whole[name] }
      const all = createOutbox(recovering(row, whole))
      all.start()
      await pass()
      await all.outbox.stop()
      expect(all.inputsOf("get")).toHaveLength(1)
      expect(all.inputsOf("recover")[0]?.ExpressionAttributeValues).toMatchObject({ ":set_retryCount": 5 })
    },
  )

  it("that fails is reported as a failed maintenance, not as this item's fault", async () => {
    const all = createOutbox({ ...recovering(stuck()), recover: () => Promise.reject(new Error("down")) })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.errors).toMatchObject([{ cause: { message: "down" } }])
    expect(all.errors[0]).toBeInstanceOf(MaintenanceError)
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

  it("sets aside an item that turns out unreadable", async () => {
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

  it("counts a crash, with the attempt", async () => {
    const all = createOutbox(recovering(stuck()))
    all.start()
    await pass()
    await all.outbox.stop()
    expect(all.inputsOf("recover")[0]).toMatchObject({
      UpdateExpression: expect.stringMatching(/ ADD #crashCount :add_crashCount$/),
      ExpressionAttributeValues: { ":add_crashCount": 1 },
    })
  })

  const runAtOnce = async (suspects: Record<string, unknown>) => {
    const items = [item("a"), item("suspect 1", suspects), item("suspect 2", suspects), item("b")]
    const all = createOutbox(
      {
        ...holding(...items),
        due: () => ({ Items: items.filter(({ id }) => !all.handled.includes(id as string)) }),
      },
      { concurrency: 10 },
    )
    const running = new Set<string>()
    let atOnce = 0
    all.onEvent(async ({ id }) => {
      running.add(id)
      atOnce = Math.max(atOnce, [...running].filter((other) => other.startsWith("suspect")).length)
      await delay(50)
      running.delete(id)
    })
    all.start()
    await pass(5000)
    await all.outbox.stop()
    expect([...all.handled].sort()).toEqual(["a", "b", "suspect 1", "suspect 2"])
    return atOnce
  }

  it("twice before makes events run one at a time", async () => {
    expect(await runAtOnce({ crashCount: 2, retryCount: 2 })).toBe(1)
    expect(await runAtOnce({ crashCount: 1, retryCount: 4 })).toBe(1)
  })

  it("once before does not, nor one by an original, nor a handler's error of the same text", async () => {
    expect(await runAtOnce({ crashCount: 1, retryCount: 1 })).toBe(2)
    expect(await runAtOnce({ lastError: "Processing timeout", retryCount: 3 })).toBe(2)
  })
})
