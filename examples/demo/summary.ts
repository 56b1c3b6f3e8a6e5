// Owns the checks at the end: they compare what was seen (the ledger) with the tables. Pure, so that tests can show that
// each check can fail.
import { type Ledger, PROCESSING_TIMEOUT } from "./ledger.ts"

type Item = Record<string, unknown>

/** Everything in the tables at the end, and what the carrier has booked. */
export interface Found {
  orders: readonly Item[]
  events: readonly Item[]
  shipments: readonly Item[]
  parcels: readonly { orderId: string }[]
  deadLettersLeft: number
}

export interface Summary {
  rows: { name: string; seen: number; found: number; remark: string }[]
  /** The failed checks, in words; empty if all passed. */
  problems: string[]
  /** The number of checks. */
  checks: number
}

export function summarise(ledger: Ledger, found: Found): Summary {
  const events = found.events.map((item) => ({
    id: String(item.id),
    status: String(item.status),
    orderId: String((item.payload as { orderId?: string } | null)?.orderId),
    retryCount: Number(item.retryCount),
    lastError: item.lastError as string | undefined,
  }))
  const shippedEvents = new Set(found.shipments.map(({ eventId }) => eventId))
  const isDelivered = (event: { id: string; status: string }) =>
    event.status === "completed" && shippedEvents.has(event.id)
  const delivered = events.filter(isDelivered)
  const recovered = events.filter(({ lastError }) => lastError === PROCESSING_TIMEOUT)
  const redriven = events.filter(
    ({ id, retryCount, lastError }) => ledger.redriven.has(id) && retryCount === 0 && lastError === undefined,
  )
  const retries =
    sum(events.map(({ retryCount }) => retryCount)) -
    recovered.length +
    sum([...ledger.redriven.values()].map((retryCount) => retryCount - 1))
  const lost = ledger.placed.filter((orderId) => !delivered.some((event) => event.orderId === orderId))
  const unshipped = ledger.placed.filter((orderId) => !ledger.isShipped(orderId))

  const rows = [
    row("placed", ledger.placed.length, found.orders.length, "orders, each with its event"),
    row("delivered", ledger.delivered.size, delivered.length, "events completed, each with its shipment"),
    row("retried", ledger.retries, retries, "failed attempts that were followed by another"),
    row("recovered", ledger.recovered.size, recovered.length, "events of the relay that was killed"),
    row(
      "dead-lettered",
      ledger.deadLettered.size,
      ledger.redriven.size,
      "events out of attempts, as getFailedEvents() lists them",
    ),
    row("redriven", ledger.redriven.size, redriven.length, "dead letters delivered after all"),
    row("lost", unshipped.length, lost.length, "orders placed whose event was not delivered"),
  ]

  const checks: Record<string, readonly string[]> = {
    "seen live, but not in the tables": rows
      .filter(({ seen, found: inTables }) => seen !== inTables)
      .map(({ name, seen, found: inTables }) => `${name} (seen ${seen}, in the tables ${inTables})`),
    "orders lost": lost,
    "orders placed that are not in the table": without(
      ledger.placed,
      found.orders.map(({ orderId }) => orderId),
    ),
    "orders in the table that were not placed": without(
      found.orders.map(({ orderId }) => String(orderId)),
      ledger.placed,
    ),
    "orders without exactly one event": ledger.placed.filter(
      (orderId) => events.filter((event) => event.orderId === orderId).length !== 1,
    ),
    "events without an order": events
      .filter(({ orderId }) => !ledger.placed.includes(orderId))
      .map(({ id, orderId }) => `${id} of ${orderId}`),
    "events not completed": events
      .filter(({ status }) => status !== "completed")
      .map(({ id, orderId, status }) => `${id} of ${orderId} (${status})`),
    "completed events without a shipment": events
      .filter((event) => event.status === "completed" && !shippedEvents.has(event.id))
      .map(({ id, orderId }) => `${id} of ${orderId}`),
    "shipments without an event": without(
      [...shippedEvents].map(String),
      events.map(({ id }) => id),
    ),
    "orders for which not exactly one parcel was booked": ledger.placed.filter(
      (orderId) => found.parcels.filter((parcel) => parcel.orderId === orderId).length !== 1,
    ),
    "recovered events do not include the one that the killed relay was handling": events
      .filter(({ orderId, lastError }) => orderId === ledger.killedAt && lastError !== PROCESSING_TIMEOUT)
      .map(({ id, orderId }) => `${id} of ${orderId}`),
    "dead letters left": found.deadLettersLeft === 0 ? [] : [String(found.deadLettersLeft)],
    "did not happen, so the demo shows less than it says": Object.entries({
      "a retry": ledger.retries,
      "a recovery": ledger.recovered.size,
      "a dead letter": ledger.deadLettered.size,
      "a retry of a dead letter": ledger.redriven.size,
      "a refused order": ledger.refused.length,
    }).flatMap(([name, count]) => (count > 0 ? [] : [name])),
  }
  const problems = Object.entries(checks)
    .filter(([, offenders]) => offenders.length > 0)
    .map(([claim, offenders]) => `${claim}: ${offenders.join(", ")}`)
  return { rows, problems, checks: Object.keys(checks).length }
}

const row = (name: string, seen: number, found: number, remark: string) => ({ name, seen, found, remark })

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)

const without = <T>(all: readonly T[], others: readonly unknown[]) =>
  all.filter((one) => !others.includes(one))
