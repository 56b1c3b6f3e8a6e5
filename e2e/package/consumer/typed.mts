// Every public name and type, as a user writes them; compiled, not run.
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import {
  type DrainResult,
  DynamoDBAwsSdkOutbox,
  type DynamoDBAwsSdkOutboxConfig,
  type DynamoDBAwsSdkTransactionCollector,
  dynamodbAwsSdkTransactionStorage,
  getDynamoDBAwsSdkCollector,
  getHandlerContext,
  type HandlerContext,
  TransactionCanceledError,
  type TransactWriteItem,
  withDynamoDBAwsSdkTransaction,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { createStreamHandler, type StreamHandler } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/lambda"
import { instrumentOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/opentelemetry"
import { OutboxOperator } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/operations"
import { TestOutbox, type TestOutboxOptions } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/testing"
import {
  type BusEvent,
  type FailedBusEvent,
  type IOutbox,
  MaxRetriesExceededError,
  OutboxEventBus,
} from "outbox-event-bus"

const config: DynamoDBAwsSdkOutboxConfig = {
  client: new DynamoDBClient({}),
  tableName: "outbox",
  getCollector: getDynamoDBAwsSdkCollector(),
}
const outbox: IOutbox<DynamoDBAwsSdkTransactionCollector> = new DynamoDBAwsSdkOutbox(config)
const bus = new OutboxEventBus(outbox, (error) => {
  if (error instanceof MaxRetriesExceededError) console.error(error.event.id, error.retryCount)
})
bus.on("order.placed", async (event: BusEvent) => console.log(event.payload, event.occurredAt.getTime()))

const item: TransactWriteItem = { Put: { TableName: "orders", Item: { id: "1", total: 42 } } }
export const placed: number = await withDynamoDBAwsSdkTransaction(async (collector) => {
  collector.push(item)
  await bus.emit(
    { type: "order.placed", payload: { total: 42 } },
    dynamodbAwsSdkTransactionStorage.getStore(),
  )
  return collector.items?.length ?? 0
})
export const committed: string = await withDynamoDBAwsSdkTransaction(
  async (transaction) => {
    transaction.push(item)
    return `${transaction.placesLeft} of ${transaction.items.length}`
  },
  { client: config.client, retryForMs: 1000 },
).catch((error) => {
  if (!(error instanceof TransactionCanceledError)) throw error
  return error.refused.map(({ position, code }) => `${position}: ${code}`).join()
})
const onDemand = new DynamoDBAwsSdkOutbox({ ...config, polling: false })
export const drained: DrainResult = await onDemand.drain({ deadline: () => 1000, maxEvents: 10 })
export const handler: StreamHandler = createStreamHandler(onDemand)
export const uninstrument: () => void = instrumentOutbox(onDemand)
const operator = new OutboxOperator({ ...config, completedEvents: { expireAfterDays: 30 } })
export const retried: { retried: number } = await operator.retry({ type: "order.placed" }, { perSecond: 10 })
for await (const { id, error } of operator.deadLetters({ error: /carrier/ })) console.log(id, error?.length)
export const failed: FailedBusEvent[] = await bus.getFailedEvents()

const context: HandlerContext | undefined = getHandlerContext()
export const mayGoOn: boolean = context === undefined || !context.signal.aborted

const options: TestOutboxOptions = { maxRetries: 3, getCollector: getDynamoDBAwsSdkCollector() }
const testOutbox: DynamoDBAwsSdkOutbox = new TestOutbox(options)
export const published: readonly BusEvent[] = (testOutbox as TestOutbox).published
await (testOutbox as TestOutbox).commit([item])

// @ts-expect-error tableName is required
new DynamoDBAwsSdkOutbox({ client: new DynamoDBClient({}) })
