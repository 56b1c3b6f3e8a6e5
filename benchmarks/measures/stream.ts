// Measures delivery from the table's stream: requests and units of an event, and the time from its commit to its handler.
// The stream is read without a pause; Lambda reads each shard four times a second.
import { clientFor, TableStream } from "@outbox-event-bus/dynamodb-dev"
import type { DynamoDBRecord } from "aws-lambda"
import { OutboxEventBus } from "outbox-event-bus"
import {
  DynamoDBAwsSdkOutbox,
  getDynamoDBAwsSdkCollector,
  withDynamoDBAwsSdkTransaction,
} from "../../src/index.ts"
import { createStreamHandler } from "../../src/lambda.ts"
import type { Lab, LabEngine } from "../lab.ts"
import { createBacklog, dropTable, EVENT_TYPE, newEvent } from "../load/backlog.ts"
import { Meter, totalRequests } from "../load/meter.ts"
import { percentilesOf } from "../percentiles.ts"
import { rounded } from "../spread.ts"
import { atMost, type Measure } from "../target.ts"

interface StreamRow {
  engine: string
  /** Of the delivery alone. */
  requestsPerEvent: number
  /** Publishing included. */
  writeUnitsPerEvent: number
  readUnitsPerEvent: number
  /** From the commit to the start of the handler. */
  p50Ms: number
  p99Ms: number
  duplicates: number
}

export interface StreamResult {
  events: number
  rows: StreamRow[]
}

const WARM_UP = 20
const INVOCATION_MS = 10_000

async function run(lab: Lab): Promise<StreamResult> {
  const rows: StreamRow[] = []
  for (const engine of lab.engines) rows.push(await measure(lab, engine))
  return { events: lab.settings.stream.events, rows }
}

async function measure(lab: Lab, engine: LabEngine): Promise<StreamRow> {
  const count = lab.settings.stream.events + WARM_UP
  const tableName = lab.newTableName()
  const publisherClient = clientFor(engine.endpoint)
  await createBacklog(publisherClient, { tableName, events: [], stream: "NEW_IMAGE" })
  const published = new Meter().attach(publisherClient)
  const getCollector = getDynamoDBAwsSdkCollector()
  const publisher = new DynamoDBAwsSdkOutbox({ client: publisherClient, tableName, getCollector })

  const consumerClient = clientFor(engine.endpoint)
  const delivered = new Meter().attach(consumerClient)
  const consumer = new DynamoDBAwsSdkOutbox({
    client: consumerClient,
    tableName,
    polling: false,
    concurrency: 10,
  })
  const bus = new OutboxEventBus(consumer, (error) => {
    throw error
  })
  const committedAt = new Map<string, number>()
  const toHandler: number[] = []
  bus.on(EVENT_TYPE, async ({ id }) => {
    toHandler.push(performance.now() - (committedAt.get(id) as number))
  })
  bus.start()
  const handle = createStreamHandler(consumer)
  const context = { getRemainingTimeInMillis: () => INVOCATION_MS }

  const records = await TableStream.open(engine.endpoint, tableName)
  for (let i = 0; i < count; i++) {
    const event = newEvent("300 B", i, new Date())
    await withDynamoDBAwsSdkTransaction(async () => publisher.publish([event]), { client: publisherClient })
    committedAt.set(event.id, performance.now())
    let Records: DynamoDBRecord[] = []
    // Until the stream shows it; what the delivery has changed comes along, as in a function without a filter.
    while (!Records.some(({ dynamodb }) => dynamodb?.Keys?.id?.S === event.id)) Records = await records.next()
    await handle({ Records }, context)
  }
  await bus.stop()
  records.close()
  const units = published.take()
  const costs = delivered.take()
  await dropTable(publisherClient, tableName)
  publisherClient.destroy()
  consumerClient.destroy()

  const { p50, p99 } = percentilesOf(toHandler.slice(WARM_UP))
  const row = {
    engine: engine.label,
    requestsPerEvent: rounded(totalRequests(costs) / count),
    writeUnitsPerEvent: rounded(
      (units.tableWrite + units.indexWrite + costs.tableWrite + costs.indexWrite) / count,
    ),
    readUnitsPerEvent: rounded((costs.tableRead + costs.indexRead) / count),
    p50Ms: p50,
    p99Ms: p99,
    duplicates: toHandler.length - count,
  }
  lab.log(`  ${JSON.stringify(row)}`)
  return row
}

function targets({ rows }: StreamResult) {
  return rows.flatMap(({ engine, requestsPerEvent, writeUnitsPerEvent, p99Ms, duplicates }) => [
    atMost(2, requestsPerEvent, {
      figure: `requests per event from the stream, ${engine}`,
      dependsOnTime: false,
    }),
    // DynamoDB Local counts a transaction's units otherwise than DynamoDB documents it.
    ...(engine === "dynoxide"
      ? [
          atMost(8, writeUnitsPerEvent, {
            figure: `write units per event from the stream, publish included, ${engine}`,
            dependsOnTime: false,
          }),
        ]
      : []),
    atMost(50, p99Ms, {
      figure: `commit to handler by the stream, p99, ${engine}`,
      dependsOnTime: true,
      unit: " ms",
    }),
    atMost(0, duplicates, { figure: `duplicates from the stream, ${engine}`, dependsOnTime: false }),
  ])
}

export const streamMeasure: Measure<StreamResult> = { name: "stream", run, targets }
