// Measures how full the batches of a batching publisher are: the core's EventPublisher resolves an event's handler only
// when its batch was sent, so it can gather no more events than the outbox runs handlers at once.
import { setTimeout as delay } from "node:timers/promises"
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { EventPublisher, OutboxEventBus } from "outbox-event-bus"
import { DynamoDBAwsSdkOutbox } from "../../src/index.ts"
import type { Lab, LabEngine } from "../lab.ts"
import { createBacklog, dropTable, EVENT_TYPE, overdueEvents } from "../load/backlog.ts"
import { rounded } from "../spread.ts"
import { atLeast, type Measure } from "../target.ts"

interface BatchingRow {
  engine: string
  concurrency: number
  sends: number
  eventsPerSend: number
  eventsPerSecond: number
}

export interface BatchingResult {
  events: number
  bufferTimeoutMs: number
  rows: BatchingRow[]
}

const BUFFER = 50
const DEFAULT_TIMEOUT_MS = 100
/** What sending a batch to a queue takes in the same region, roughly. */
const SEND_MS = 10

async function run(lab: Lab): Promise<BatchingResult> {
  const rows: BatchingRow[] = []
  for (const engine of lab.engines) {
    rows.push(await publishAll(lab, engine, BUFFER, lab.settings.batching.events))
    // Each event waits for the buffer's timeout here, so a few tell enough.
    rows.push(await publishAll(lab, engine, 1, 20))
  }
  return { ...lab.settings.batching, rows }
}

async function publishAll(
  lab: Lab,
  engine: LabEngine,
  concurrency: number,
  count: number,
): Promise<BatchingRow> {
  const bufferTimeoutMs = concurrency === 1 ? DEFAULT_TIMEOUT_MS : lab.settings.batching.bufferTimeoutMs
  const client = clientFor(engine.endpoint)
  const tableName = lab.newTableName()
  await createBacklog(client, { tableName, events: overdueEvents(count) })
  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName, concurrency })
  let sends = 0
  let sent = 0
  const start = performance.now()
  await new Promise<void>((resolve, reject) => {
    const bus = new OutboxEventBus(outbox, reject)
    const publisher = new EventPublisher(bus, { processingConfig: { bufferSize: BUFFER, bufferTimeoutMs } })
    publisher.subscribe([EVENT_TYPE], async (events) => {
      sends++
      await delay(SEND_MS)
      sent += events.length
      if (sent >= count) resolve()
    })
    bus.start()
  })
  await outbox.stop()
  const seconds = (performance.now() - start) / 1000
  await dropTable(client, tableName)
  client.destroy()
  const row = {
    engine: engine.label,
    concurrency,
    sends,
    eventsPerSend: rounded(sent / sends),
    eventsPerSecond: rounded(sent / seconds),
  }
  lab.log(`  ${JSON.stringify(row)}`)
  return row
}

function targets({ rows, bufferTimeoutMs }: BatchingResult) {
  return rows
    .filter(({ concurrency }) => concurrency === BUFFER)
    .map(({ engine, eventsPerSend }) =>
      atLeast(40, eventsPerSend, {
        figure: `events per send, buffer of ${BUFFER}, \`concurrency: ${BUFFER}\`, ${engine}`,
        // With the default timeout, a slow machine sends what it has after 100 ms.
        dependsOnTime: bufferTimeoutMs <= DEFAULT_TIMEOUT_MS,
      }),
    )
}

export const batchingMeasure: Measure<BatchingResult> = { name: "batching", run, targets }
