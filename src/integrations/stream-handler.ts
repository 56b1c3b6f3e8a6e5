/** Delivers new events from the table's DynamoDB stream, in a Lambda function. Knows of the outbox no more than `deliver`. */
import type { Context, DynamoDBBatchResponse, DynamoDBRecord, DynamoDBStreamEvent } from "aws-lambda"
import { ValidationError } from "outbox-event-bus"
import type { DynamoDBAwsSdkOutbox } from "../dynamodb-aws-sdk-outbox.ts"
import { described } from "../process/shown.ts"

/**
 * Filter patterns for the event source mapping (`FilterCriteria.Filters[].Pattern`, as JSON), so that only new events invoke the
 * function, and not what the outbox writes itself. `images` is for streams with new images (`NEW_IMAGE` or `NEW_AND_OLD_IMAGES`),
 * `keysOnly` for `KEYS_ONLY` streams.
 *
 * @see {@link https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html | Event filtering with DynamoDB}
 */
export const STREAM_FILTERS = {
  images: { eventName: ["INSERT"], dynamodb: { NewImage: { status: { S: [{ prefix: "created" }] } } } },
  keysOnly: { eventName: ["INSERT"] },
} as const

/** What a stream handler is called with by Lambda; of the context it only asks for the time that is left. */
export type StreamHandler = (
  event: DynamoDBStreamEvent,
  context: Pick<Context, "getRemainingTimeInMillis">,
) => Promise<DynamoDBBatchResponse>

/**
 * Makes the handler of a function that the table's stream invokes. It claims the new events by their ids, runs the handlers of the
 * bus, `concurrency` at once, and writes the results, within the invocation.
 *
 * What it does not get to is left to the sweeper, a scheduled `drain()`: events that are not due yet, that another worker holds, that
 * fail and are to be retried, and those for which no time is left. Reported as a batch failure is only the first record whose event
 * could not be claimed because DynamoDB did not respond or refused the request: Lambda then sends it and the records after it again.
 * Records that come twice do no harm.
 *
 * @param outbox - Made with `polling: false`; its bus has been started.
 * @returns the handler. The event source mapping needs `FunctionResponseTypes: [ReportBatchItemFailures]`.
 * @throws {ValidationError} (the handler) for a record without the key `id`: it is from another table.
 * @throws {OperationalError} (the handler) when the bus was not started, or the outbox polls.
 * @example
 * ```ts
 * const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: "outbox", polling: false, concurrency: 10 })
 * const bus = new OutboxEventBus(outbox, (error) => console.error(error))
 * bus.on("order.placed", ship)
 * bus.start()
 *
 * export const handler = createStreamHandler(outbox)
 * ```
 */
export function createStreamHandler(outbox: Pick<DynamoDBAwsSdkOutbox, "deliver">): StreamHandler {
  return async (event, context) => {
    const records = recordsOf(event)
    const due = records.filter((record) => mayBeDue(record, Date.now()))
    if (due.length === 0) return { batchItemFailures: [] }
    const { unclaimed } = await outbox.deliver(due.map(idOf), {
      // Without a context, as in a test, there is no deadline.
      ...(context && { deadline: () => context.getRemainingTimeInMillis() }),
    })
    const failed = new Set(unclaimed)
    const first = due
      .filter((record) => failed.has(idOf(record)))
      .map(sequenceNumberOf)
      .sort(byNumber)[0]
    return { batchItemFailures: first === undefined ? [] : [{ itemIdentifier: first }] }
  }
}

/** Records of something else must not be taken for ones that need no work: their queue would drop them. */
function recordsOf(event: DynamoDBStreamEvent): DynamoDBRecord[] {
  const records: DynamoDBRecord[] | undefined = event?.Records
  const source = Array.isArray(records) ? records.find(isOfAnotherSource)?.eventSource : described(event)
  if (Array.isArray(records) && source === undefined) return records
  throw new ValidationError(
    `The handler of a DynamoDB stream was invoked with records of ${source}. Its event source mapping must be the outbox table's stream.`,
  )
}

function isOfAnotherSource({ eventSource = STREAMS }: DynamoDBRecord): boolean {
  return eventSource !== STREAMS
}

const STREAMS = "aws:dynamodb"

/** A new event that is due, as far as the record shows. Without an image, the claim tells. */
function mayBeDue({ eventName, dynamodb }: DynamoDBRecord, now: number): boolean {
  if (eventName !== "INSERT") return false
  const image = dynamodb?.NewImage
  if (image === undefined) return true
  return image.status?.S?.startsWith("created") === true && !(Number(image.gsiSortKey?.N) > now)
}

function idOf({ dynamodb, eventSourceARN }: DynamoDBRecord): string {
  const id = dynamodb?.Keys?.id?.S
  if (id !== undefined) return id
  throw new ValidationError(
    `A record of the stream ${described(eventSourceARN)} has no string key "id", so it is not from an outbox table.`,
  )
}

function sequenceNumberOf({ dynamodb }: DynamoDBRecord): string {
  return dynamodb?.SequenceNumber ?? ""
}

/** They are numbers of up to 40 digits, some engines' with leading zeros. */
function byNumber(a: string, b: string): number {
  return BigInt(a) < BigInt(b) ? -1 : 1
}
