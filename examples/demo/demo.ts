// The demo, `npm run demo`: a shop and two relay processes on an embedded DynamoDB. It provokes failures, and at the end
// compares what it saw with the tables. Exit code 0: all checks passed; 1: a check failed; 130: interrupted.
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import {
  DynamoDBAwsSdkOutbox,
  type DynamoDBAwsSdkTransactionCollector,
  getDynamoDBAwsSdkCollector,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { clientFor, LOCAL_CREDENTIALS, LOCAL_REGION } from "@outbox-event-bus/dynamodb-dev"
import { type IOutboxEventBus, OutboxEventBus } from "outbox-event-bus"
import { type Order, OrderNumberTakenError, Orders } from "../order-service/orders.ts"
import type { RelayLog } from "../order-service/relay.ts"
import { type TableNames, tableNames } from "../order-service/settings.ts"
import { CarrierSimulation } from "./carrier-simulation.ts"
import { Ledger, PROCESSING_TIMEOUT } from "./ledger.ts"
import { Narrator } from "./narrator.ts"
import type { RelayProcess } from "./relay-process.ts"
import { InterruptedError, Stage } from "./stage.ts"
import { summarise } from "./summary.ts"
import { createTables, dropTables, scanAll } from "./tables.ts"

const DEADLINE_MS = 28_000
const CLOSE_WITHIN_MS = 5_000
const BETWEEN_CUSTOMERS_MS = 150
const LEASE_MS = 3_000
const MAX_ATTEMPTS = 3
const WRONG_POSTCODE = "00000"
const RIGHT_POSTCODE = "20146"

const CUSTOMERS = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Niklaus", "Katherine"]
const ARTICLES = ["teapot", "desk lamp", "hammock", "chess set", "kite", "globe", "cello"]

const SCENE_ONE = ["A-101", "A-102", "A-103", "A-104", "A-105", "A-106", "A-107", "A-108"]
const WITH_WRONG_POSTCODE = "A-109"
const UNANSWERED = "A-111"
const BEFORE_THE_KILL = ["A-110", UNANSWERED, "A-112", "A-113"]
const AFTER_THE_KILL = ["A-114", "A-115", "A-116"]

/** What the scenes work with. */
interface Cast {
  stage: Stage
  tell: Narrator
  ledger: Ledger
  carrier: CarrierSimulation
  orders: Orders
  bus: IOutboxEventBus<DynamoDBAwsSdkTransactionCollector>
  relays: RelayProcess[]
}

async function play(stage: Stage, tell: Narrator): Promise<boolean> {
  const database = await stage.database()
  const client = clientFor(database.endpoint)
  const documents = DynamoDBDocumentClient.from(client)
  const tables = tableNames(`demo-${Date.now().toString(36)}-`)
  await createTables(client, tables)
  // An existing database keeps running, and is left as it was.
  if (database.engine === "endpoint") stage.onClose(() => dropTables(client, tables))

  const carrier = new CarrierSimulation({
    outages: { "A-103": 1, "A-106": 2 },
    unknownPostcode: WRONG_POSTCODE,
    unanswered: UNANSWERED,
  })
  const carrierUrl = await carrier.start()
  stage.onClose(() => carrier.stop())

  const ledger = new Ledger()
  const relays = ["relay 1", "relay 2"].map((name) =>
    stage.relay({
      name,
      env: relayEnvironment(database.endpoint, carrierUrl, tables),
      onLog: (line) => {
        ledger.note(line)
        narrate(line, tell, ledger)
      },
    }),
  )
  const { orders, bus } = openShop(client, documents, tables)
  const cast = { stage, tell, ledger, carrier, orders, bus, relays }

  tell.title(
    "An order service with a transactional outbox",
    `DynamoDB: ${database.engine}, ${database.endpoint}. A shop takes orders; two relay processes have them shipped.`,
  )
  await stage.until("both relays are ready", () => relays.every(({ name }) => ledger.isReady(name)))
  for (const { name, pid } of relays) tell.line(name, "", `ready, process ${pid}`)

  await ordersAreShipped(cast)
  await aDeadLetterIsFixed(cast)
  await aRelayIsKilled(cast)
  return await reckon(cast, documents, tables)
}

async function ordersAreShipped({ stage, tell, ledger, orders }: Cast): Promise<void> {
  tell.scene(
    1,
    "Each order is stored together with its event, in one transaction. The carrier is unreliable.",
  )
  const taken = SCENE_ONE[0] as string
  for (const orderId of [...SCENE_ONE, taken]) {
    await placeOrder(orders, someOrder(orderId), tell, ledger)
    await stage.pause(BETWEEN_CUSTOMERS_MS)
  }
  await stage.until("all orders of scene 1 are shipped", () => SCENE_ONE.every((id) => ledger.isShipped(id)))
}

async function aDeadLetterIsFixed({ stage, tell, ledger, orders, bus }: Cast): Promise<void> {
  tell.scene(2, "An order can't be shipped. Its event becomes a dead letter, is fixed and retried.")
  await placeOrder(orders, someOrder(WITH_WRONG_POSTCODE, WRONG_POSTCODE), tell, ledger)
  await stage.until("there is a dead letter", async () => (await bus.getFailedEvents()).length > 0)
  const deadLetters = await bus.getFailedEvents()
  for (const { payload, retryCount, error } of deadLetters) {
    const { orderId } = payload as { orderId: string }
    tell.line("operator", orderId, `getFailedEvents(): ${retryCount} attempts, "${error}"`)
    await orders.correctPostcode(orderId, RIGHT_POSTCODE)
    tell.line("operator", orderId, `corrects the postcode: ${RIGHT_POSTCODE}`)
  }
  const eventIds = deadLetters.map(({ id }) => id)
  await bus.retryEvents(eventIds)
  ledger.noteRedrive(deadLetters)
  tell.line("operator", "", `retryEvents(): ${eventIds.length} event`)
  await stage.until("the corrected order is shipped", () => ledger.isShipped(WITH_WRONG_POSTCODE))
}

async function aRelayIsKilled({ stage, tell, ledger, orders, carrier, relays }: Cast): Promise<void> {
  tell.scene(3, "A relay is killed mid-run. The other one recovers its events.")
  for (const orderId of BEFORE_THE_KILL) await placeOrder(orders, someOrder(orderId), tell, ledger)
  await stage.until(
    "a relay is waiting for the carrier's response",
    () => carrier.isLeavingUnanswered && ledger.handlerOf(UNANSWERED) !== undefined,
  )
  const victim = relays.find(({ name }) => name === ledger.handlerOf(UNANSWERED)) as RelayProcess
  await victim.kill()
  ledger.killedAt = UNANSWERED
  tell.line(
    victim.name,
    UNANSWERED,
    "SIGKILL, after the parcel was booked and before the relay knew it",
    "bad",
  )
  tell.line(
    "",
    "",
    `Its events can be recovered once the lease of ${LEASE_MS / 1000} s has expired. Business goes on:`,
  )
  for (const orderId of AFTER_THE_KILL) {
    await placeOrder(orders, someOrder(orderId), tell, ledger)
    await stage.pause(BETWEEN_CUSTOMERS_MS)
  }
  await stage.until("all orders of scene 3 are shipped", () =>
    [...BEFORE_THE_KILL, ...AFTER_THE_KILL].every((orderId) => ledger.isShipped(orderId)),
  )
}

/** Stops the relays, so that nothing is in progress, and compares what was seen with the tables. */
async function reckon(cast: Cast, documents: DynamoDBDocumentClient, tables: TableNames): Promise<boolean> {
  const { stage, tell, ledger, carrier, bus, relays } = cast
  tell.scene(4, "The relays are stopped (SIGTERM), then the tables are read.")
  const stopping = Promise.all(relays.filter(({ hasEnded }) => !hasEnded).map((relay) => relay.stop()))
  let exitCodes: (number | null)[] | undefined
  void stopping.then((codes) => {
    exitCodes = codes
  })
  await stage.until("the relays have exited", () => exitCodes !== undefined)

  const [ordersFound, events, shipments, deadLettersLeft] = await Promise.all([
    scanAll(documents, tables.orders),
    scanAll(documents, tables.outbox),
    scanAll(documents, tables.shipments),
    bus.getFailedEvents(),
  ])
  const { rows, problems, checks } = summarise(ledger, {
    orders: ordersFound,
    events,
    shipments,
    parcels: carrier.parcels,
    deadLettersLeft: deadLettersLeft.length,
  })
  for (const code of exitCodes ?? []) if (code !== 0) problems.push(`a relay exited with code ${code}`)

  tell.blank()
  tell.table(
    ["", "seen", "in the tables", ""],
    rows.map(({ name, seen, found, remark }) => [name, seen, found, remark]),
  )
  if (problems.length === 0) {
    tell.verdict(`All ${checks} checks against the tables passed, after ${tell.seconds} s. lost: 0`, "good")
  } else {
    tell.verdict(`${problems.length} of ${checks} checks failed`, "bad")
    for (const problem of problems) tell.problem(problem)
  }
  return problems.length === 0
}

function openShop(client: DynamoDBClient, documents: DynamoDBDocumentClient, tables: TableNames) {
  const outbox = new DynamoDBAwsSdkOutbox({
    client,
    tableName: tables.outbox,
    getCollector: getDynamoDBAwsSdkCollector(),
  })
  // The shop only emits: it never calls bus.start().
  const bus = new OutboxEventBus(outbox, (error) => console.error(error))
  return { bus, orders: new Orders(documents, tables.orders, bus) }
}

async function placeOrder(orders: Orders, order: Order, tell: Narrator, ledger: Ledger): Promise<void> {
  try {
    await orders.place(order)
    ledger.placed.push(order.orderId)
    tell.line("shop", order.orderId, `${order.customer} orders a ${order.article}`)
  } catch (error) {
    if (!(error instanceof OrderNumberTakenError)) throw error
    ledger.refused.push(order.orderId)
    tell.line("shop", order.orderId, "the number is taken: refused, and no event either")
  }
}

function someOrder(orderId: string, postcode = RIGHT_POSTCODE): Order {
  const number = Number(orderId.slice(2))
  return {
    orderId,
    customer: CUSTOMERS[number % CUSTOMERS.length] as string,
    article: ARTICLES[number % ARTICLES.length] as string,
    postcode,
  }
}

function narrate(
  { msg, relay, eventId = "", orderId = "", parcel, reason }: RelayLog,
  tell: Narrator,
  ledger: Ledger,
) {
  const attempt = `attempt ${ledger.attemptsOf(eventId)} of ${MAX_ATTEMPTS}`
  if (msg === "shipped") tell.line(relay, orderId, `shipped as ${parcel}`, "good")
  if (msg === "shipped before") tell.line(relay, orderId, "was shipped before: nothing to do", "good")
  if (msg === "failed" && reason === PROCESSING_TIMEOUT)
    tell.line(relay, orderId, "recovered: its lease has expired")
  else if (msg === "failed") tell.line(relay, orderId, `${attempt} failed: ${reason}`, "bad")
  if (msg === "dead letter") {
    tell.line(relay, orderId, `${attempt} failed: ${reason}`, "bad")
    tell.line(relay, orderId, "is now a dead letter, left for the operator", "bad")
  }
  if (msg === "trouble") tell.line(relay, "", `trouble: ${reason}`, "bad")
  if (msg === "stopped") tell.line(relay, "", "exited, nothing left half done")
}

function relayEnvironment(endpoint: string, carrierUrl: string, tables: TableNames): NodeJS.ProcessEnv {
  return {
    AWS_ENDPOINT_URL_DYNAMODB: endpoint,
    AWS_REGION: LOCAL_REGION,
    AWS_ACCESS_KEY_ID: LOCAL_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: LOCAL_CREDENTIALS.secretAccessKey,
    AWS_SESSION_TOKEN: undefined,
    CARRIER_URL: carrierUrl,
    TABLE_PREFIX: tables.outbox.replace(/outbox$/, ""),
    POLL_INTERVAL_MS: "150",
    MAX_RETRIES: String(MAX_ATTEMPTS),
    BASE_BACKOFF_MS: "250",
    PROCESSING_TIMEOUT_MS: String(LEASE_MS),
  }
}

async function main(): Promise<number> {
  // Irrelevant to the audience.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true"
  const tell = new Narrator()
  const stage = new Stage(DEADLINE_MS)
  try {
    return (await stage.run(() => play(stage, tell))) ? 0 : 1
  } catch (error) {
    tell.brokenOff(error instanceof Error ? error.message : String(error))
    return error instanceof InterruptedError ? 130 : 1
  } finally {
    // The children and the database exit with this process, even if they can't be stopped cleanly.
    setTimeout(() => process.exit(1), CLOSE_WITHIN_MS).unref()
    await stage.close()
  }
}

process.exit(await main())
