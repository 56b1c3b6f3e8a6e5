/** The messages of the channel: what is told, to whom, and on what lines. */
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { expect, it, onTestFinished } from "vitest"
import { asLine, Diagnostics, OUTBOX_DIAGNOSTICS_CHANNEL } from "./diagnostics.ts"

it("makes no message while nobody listens", () => {
  expect(new Diagnostics("orders").tell).toBeUndefined()
})

it("tells subscribers, with the table", () => {
  const told: unknown[] = []
  const listen = (message: unknown) => told.push(message)
  subscribe(OUTBOX_DIAGNOSTICS_CHANNEL, listen)
  onTestFinished(() => void unsubscribe(OUTBOX_DIAGNOSTICS_CHANNEL, listen))
  new Diagnostics("orders").tell?.({ what: "claimed", eventId: "e1" })
  expect(told).toEqual([{ tableName: "orders", what: "claimed", eventId: "e1" }])
})

it("prints each on one line, whatever is in it", () => {
  const line = asLine({
    tableName: "orders",
    what: "not-claimed",
    eventId: "a\nb",
    forMs: 1000,
    error: new Error("no\nway"),
  })
  expect(line).toBe('not-claimed eventId="a\\nb" forMs=1000 error="no\\nway" tableName="orders"')
})
