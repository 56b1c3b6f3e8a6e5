// Measures what the diagnostics channel costs: the check that is made in place of each message while nobody listens, times
// the messages that an event causes, against the time that the event takes.
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { OUTBOX_DIAGNOSTICS_CHANNEL } from "../../src/index.ts"
import { Diagnostics } from "../../src/process/diagnostics.ts"
import type { Lab } from "../lab.ts"
import { createBacklog, dropTable, overdueEvents } from "../load/backlog.ts"
import { drainByRelay } from "../load/drains.ts"
import { rounded } from "../spread.ts"
import { atMost, type Measure } from "../target.ts"

export interface DiagnosticsResult {
  nanosecondsPerCheck: number
  messagesPerEvent: number
  /** Of the time that an event takes in a drain, in percent. */
  percentOfEvent: number
}

const CHECKS = 5_000_000

async function run(lab: Lab): Promise<DiagnosticsResult> {
  const [engine] = lab.engines
  if (!engine) throw new Error("No engine can run on this machine.")
  const nanosecondsPerCheck = timeOfCheck()

  const { events: count } = lab.settings.diagnostics
  const client = clientFor(engine.endpoint)
  const tableName = lab.newTableName()
  const events = overdueEvents(count)
  await createBacklog(client, { tableName, events })
  let messages = 0
  const listen = () => messages++
  subscribe(OUTBOX_DIAGNOSTICS_CHANNEL, listen)
  const { eventsPerSecond } = await drainByRelay(
    { endpoint: engine.endpoint, tableName, events },
    { handlerMs: 0 },
  )
  unsubscribe(OUTBOX_DIAGNOSTICS_CHANNEL, listen)
  await dropTable(client, tableName)
  client.destroy()

  const messagesPerEvent = messages / count
  const percentOfEvent = (100 * nanosecondsPerCheck * messagesPerEvent * eventsPerSecond) / 1e9
  const result = {
    nanosecondsPerCheck: rounded(nanosecondsPerCheck),
    messagesPerEvent: rounded(messagesPerEvent),
    percentOfEvent: rounded(percentOfEvent),
  }
  lab.log(`  ${JSON.stringify(result)}`)
  return result
}

function timeOfCheck(): number {
  const diagnostics = new Diagnostics("outbox")
  const start = performance.now()
  for (let i = 0; i < CHECKS; i++) diagnostics.tell?.({ what: "claimed", eventId: String(i) })
  return ((performance.now() - start) * 1e6) / CHECKS
}

function targets({ percentOfEvent }: DiagnosticsResult) {
  return [
    atMost(0.1, percentOfEvent, {
      figure: "share of an event's time that the diagnostics channel takes without a subscriber",
      unit: " %",
      dependsOnTime: true,
    }),
  ]
}

export const diagnosticsMeasure: Measure<DiagnosticsResult> = { name: "diagnostics", run, targets }
