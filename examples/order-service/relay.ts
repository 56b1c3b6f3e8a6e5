// Owns the relay process: it reads events from the outbox, passes them to the handlers, and shuts down gracefully. Run as many
// as you like: node --import tsx examples/order-service/relay.ts. It logs one line of JSON per event.
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import { DynamoDBAwsSdkOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import {
  type BusEvent,
  formatErrorMessage,
  HandlerError,
  MaxRetriesExceededError,
  type OutboxError,
  OutboxEventBus,
} from "outbox-event-bus"
import { HttpCarrier } from "./carrier.ts"
import type { OrderPlaced } from "./orders.ts"
import { CARRIER_URL, RELAY_NAME, RELAY_OPTIONS, tableNames } from "./settings.ts"
import { shipOrders } from "./shipping.ts"

/** Longer than any handler takes. After that, another relay recovers what is still running. */
const STOP_WITHIN_MS = 10_000

/** A line of the log. */
export interface RelayLog {
  msg:
    | "started"
    | "handling"
    | "shipped"
    | "shipped before"
    | "failed"
    | "dead letter"
    | "trouble"
    | "stopped"
  relay: string
  eventId?: string
  orderId?: string | undefined
  parcel?: string
  reason?: string
}

function log(msg: RelayLog["msg"], details: Omit<RelayLog, "msg" | "relay"> = {}): void {
  const line: RelayLog = { msg, relay: RELAY_NAME, ...details }
  console.log(JSON.stringify(line))
}

const idsOf = (event: BusEvent) => ({
  eventId: event.id,
  orderId: (event as Partial<OrderPlaced>).payload?.orderId,
})

// #region report-error
function reportError(error: OutboxError): void {
  const reason = formatErrorMessage(error.cause ?? error)
  if (error instanceof MaxRetriesExceededError) {
    // Needs an operator: getFailedEvents() lists it until it is retried.
    log("dead letter", { ...idsOf(error.event), reason })
  } else if (error instanceof HandlerError) {
    // One attempt failed; the next one follows after the backoff.
    log("failed", { ...idsOf(error.event), reason })
  } else {
    // For example, DynamoDB does not respond. The relay resumes by itself.
    log("trouble", { reason })
  }
}
// #endregion

const tables = tableNames()
const client = new DynamoDBClient({})
const documents = DynamoDBDocumentClient.from(client)
const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: tables.outbox, ...RELAY_OPTIONS })
const bus = new OutboxEventBus(outbox, reportError)

bus.addHandlerMiddleware(async ({ event }, next) => {
  log("handling", idsOf(event))
  await next()
})
bus.on(
  "order.placed",
  shipOrders({
    documents,
    carrier: new HttpCarrier(CARRIER_URL),
    ordersTable: tables.orders,
    shipmentsTable: tables.shipments,
    onShipped: (event, parcel) =>
      parcel === undefined
        ? log("shipped before", idsOf(event))
        : log("shipped", { ...idsOf(event), parcel }),
  }),
)

let isStopping = false
async function stop(): Promise<void> {
  if (isStopping) return
  isStopping = true
  setTimeout(() => process.exit(1), STOP_WITHIN_MS).unref()
  // Starts no more handlers, waits for those that run, releases what was only claimed.
  await bus.stop()
  client.destroy()
  log("stopped")
  if (process.connected) process.disconnect()
}
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void stop())
// Forked by another Node process, as in the demo: exits with its parent, even if the parent crashes.
process.once("disconnect", () => void stop())

bus.start()
log("started")
