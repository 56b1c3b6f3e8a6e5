/** A bus that can't handle an event now asks for its release, by a symbol that any core can use. */
import { expect, it } from "vitest"
import { NOW, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, holding, item } from "./outbox.fixture.ts"

useFakeClock()

const RELEASE = Symbol.for("outbox-event-bus/release")

it("advertises that it can, also through objects made from it, and shows it to no logger", () => {
  const { outbox } = createOutbox()
  expect(Reflect.get(outbox, RELEASE)).toBe(true)
  expect(Reflect.get(Object.create(outbox), RELEASE)).toBe(true)
  expect(Object.getOwnPropertyDescriptor(outbox, RELEASE)?.enumerable).toBe(false)
})

it.each([
  ["an event", {}],
  ["one at its last attempt", { retryCount: 4 }],
  ["one that was recovered", { retryCount: 1, lastError: "Processing timeout" }],
])("puts back %s a little later: not counted, not reported, its marks kept", async (_, more) => {
  const all = createOutbox(holding(item("e1", more)))
  all.onEvent(() => Promise.reject(Object.assign(new Error("no handler here"), { [RELEASE]: true })))
  all.start()
  await pass(100)
  const [{ UpdateExpression = "", ExpressionAttributeValues: values } = {}] = all.inputsOf(
    "release",
  ) as unknown as [{ UpdateExpression: string; ExpressionAttributeValues: Record<string, number> }]
  expect(UpdateExpression).toBe("SET #status = :set_status, #gsiSortKey = :set_gsiSortKey REMOVE #startedOn")
  expect(values?.[":set_gsiSortKey"]).toBeGreaterThanOrEqual(NOW + 900)
  expect(values?.[":set_gsiSortKey"]).toBeLessThanOrEqual(NOW + 1200)
  expect([all.inputsOf("fail"), all.inputsOf("complete"), all.errors]).toEqual([[], [], []])
  await all.outbox.stop()
})

it.each([
  ["at least 100 ms where retries come at once", { baseBackoffMs: 0 }, 100],
  ["maxBackoffMs at most", { baseBackoffMs: 60_000, maxBackoffMs: 5000 }, 5000],
])("pauses %s", async (_, options, expected) => {
  const all = createOutbox(holding(item("e1")), options)
  all.onEvent(() => Promise.reject(Object.assign(new Error("no handler here"), { [RELEASE]: true })))
  all.start()
  await pass(50)
  const due = all.inputsOf("release").map((input) => input.ExpressionAttributeValues[":set_gsiSortKey"])
  expect(due).toEqual([NOW + expected])
  await all.outbox.stop()
})

it("takes nothing else for such a request", async () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  for (const thrown of [{ [RELEASE]: "true" }, { release: true }, null, undefined, proxy]) {
    const all = createOutbox(holding(item("e1")))
    all.onEvent(() => Promise.reject(thrown))
    all.start()
    await pass(100)
    expect(all.inputsOf("fail")).toHaveLength(1)
    await all.outbox.stop()
  }
})
