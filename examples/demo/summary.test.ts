import { beforeEach, describe, expect, it } from "vitest"
import { Ledger, PROCESSING_TIMEOUT } from "./ledger.ts"
import { type Found, summarise } from "./summary.ts"

interface Tables {
  orders: Record<string, unknown>[]
  events: Record<string, unknown>[]
  shipments: Record<string, unknown>[]
  parcels: { orderId: string }[]
  deadLettersLeft: number
}

let ledger: Ledger
let found: Tables & Found

/** Four orders: delivered at once, after a retry, after a recovery, after a redrive. */
beforeEach(() => {
  ledger = new Ledger()
  const relay = "relay 1"
  for (const orderId of ["A", "B", "C", "D"]) {
    ledger.placed.push(orderId)
    ledger.note({ msg: "shipped", relay, eventId: `e-${orderId}`, orderId, parcel: "P" })
  }
  ledger.refused.push("A")
  ledger.note({ msg: "failed", relay, eventId: "e-B", orderId: "B", reason: "503" })
  ledger.note({ msg: "failed", relay, eventId: "e-C", orderId: "C", reason: PROCESSING_TIMEOUT })
  ledger.note({ msg: "failed", relay, eventId: "e-D", orderId: "D", reason: "422" })
  ledger.note({ msg: "dead letter", relay, eventId: "e-D", orderId: "D", reason: "422" })
  ledger.noteRedrive([{ id: "e-D", retryCount: 2 }])
  ledger.killedAt = "C"

  const event = (orderId: string, retryCount: number, lastError?: string) => ({
    id: `e-${orderId}`,
    payload: { orderId },
    status: "completed",
    retryCount,
    ...(lastError !== undefined && { lastError }),
  })
  const ids = ["A", "B", "C", "D"]
  found = {
    orders: ids.map((orderId) => ({ orderId })),
    events: [event("A", 0), event("B", 1, "503"), event("C", 1, PROCESSING_TIMEOUT), event("D", 0)],
    shipments: ids.map((orderId) => ({ eventId: `e-${orderId}`, orderId })),
    parcels: ids.map((orderId) => ({ orderId })),
    deadLettersLeft: 0,
  }
})

const problems = () => summarise(ledger, found).problems

describe("summarise", () => {
  it("finds no problem when all is well, and counts the same on both sides", () => {
    const { rows, problems } = summarise(ledger, found)
    expect(problems).toEqual([])
    expect(Object.fromEntries(rows.map(({ name, seen, found }) => [name, [seen, found]]))).toEqual({
      placed: [4, 4],
      delivered: [4, 4],
      retried: [2, 2],
      recovered: [1, 1],
      "dead-lettered": [1, 1],
      redriven: [1, 1],
      lost: [0, 0],
    })
  })

  it.for<[string, () => unknown, RegExp]>([
    ["an event is lost", () => found.events.shift(), /^orders lost: A$/],
    ["an event has no order", () => found.orders.shift(), /^orders placed that are not in the table: A$/],
    [
      "an order appears from nowhere",
      () => found.orders.push({ orderId: "X" }),
      /^orders in the table that were not placed: X$/,
    ],
    [
      "an order has two events",
      () => found.events.push({ ...found.events[0], id: "again" }),
      /^orders without exactly one event: A$/,
    ],
    [
      "a refused order has left its event",
      () => found.events.push({ ...found.events[0], id: "e-X", payload: { orderId: "X" } }),
      /^events without an order: e-X of X$/,
    ],
    [
      "an event is still under way",
      () => Object.assign(found.events[0] ?? {}, { status: "active" }),
      /^events not completed: e-A of A \(active\)$/,
    ],
    [
      "an event is completed and nothing was done",
      () => found.shipments.shift(),
      /^completed events without a shipment: e-A of A$/,
    ],
    [
      "a shipment has no event",
      () => found.shipments.push({ eventId: "e-X" }),
      /^shipments without an event: e-X$/,
    ],
    [
      "a parcel is sent twice",
      () => found.parcels.push({ orderId: "A" }),
      /^orders for which not exactly one parcel was booked: A$/,
    ],
    [
      "the killed relay's event was not recovered",
      () => Object.assign(found.events[2] ?? {}, { lastError: "503" }),
      /^recovered events do not include the one that the killed relay was handling: e-C of C$/,
    ],
    ["a dead letter is left", () => Object.assign(found, { deadLettersLeft: 1 }), /^dead letters left: 1$/],
    [
      "a retry was seen that is not in the table",
      () => Object.assign(ledger, { retries: 3 }),
      /^seen live, but not in the tables: retried \(seen 3, in the tables 2\)$/,
    ],
    [
      "there was nothing to see",
      () => ledger.refused.pop(),
      /^did not happen, so the demo shows less than it says: a refused order$/,
    ],
  ])("says so when %s", ([, breakIt, problem]) => {
    breakIt()
    expect(problems()).toContainEqual(expect.stringMatching(problem))
  })
})
