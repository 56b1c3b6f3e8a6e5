/** A service with the DynamoDB adapter: its options, its transactions, and its way to extend the class. */
import { AsyncLocalStorage } from "node:async_hooks"
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import {
  DynamoDBDocumentClient,
  TransactWriteCommand,
  type TransactWriteCommandInput,
} from "@aws-sdk/lib-dynamodb"
import {
  DynamoDBAwsSdkOutbox,
  type DynamoDBAwsSdkOutboxConfig,
  type DynamoDBAwsSdkTransactionCollector,
  dynamodbAwsSdkTransactionStorage,
  getDynamoDBAwsSdkCollector,
  type TransactWriteItem,
  withDynamoDBAwsSdkTransaction,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import {
  type BusEvent,
  type FailedBusEvent,
  type IOutbox,
  type OutboxConfig,
  OutboxEventBus,
} from "outbox-event-bus"

const client = new DynamoDBClient({ region: "eu-west-1" })
export const minimal: DynamoDBAwsSdkOutboxConfig = { client, tableName: "outbox" }
export const full: DynamoDBAwsSdkOutboxConfig & OutboxConfig = {
  client,
  tableName: "outbox",
  statusIndexName: "status-gsiSortKey-index",
  processingTimeoutMs: 30_000,
  getCollector: getDynamoDBAwsSdkCollector(),
  batchSize: 50,
  pollIntervalMs: 1000,
  maxRetries: 5,
  baseBackoffMs: 1000,
  maxErrorBackoffMs: 30_000,
}
// A wrapper that passes on what it was given, or nothing; also with exactOptionalPropertyTypes.
export const createOutbox = (getCollector?: () => DynamoDBAwsSdkTransactionCollector | undefined) =>
  new DynamoDBAwsSdkOutbox({ ...minimal, getCollector })
export const withoutCollector = new DynamoDBAwsSdkOutbox({ ...minimal, getCollector: undefined })

export const outbox: IOutbox<DynamoDBAwsSdkTransactionCollector> = createOutbox()
export const bus = new OutboxEventBus<DynamoDBAwsSdkTransactionCollector>(outbox, (error) =>
  console.error(error),
)

export class TracedOutbox extends DynamoDBAwsSdkOutbox {
  override async publish(
    events: BusEvent[],
    transaction?: DynamoDBAwsSdkTransactionCollector,
  ): Promise<void> {
    console.log(events.length)
    await super.publish(events, transaction)
  }
  override async getFailedEvents(): Promise<FailedBusEvent[]> {
    return (await super.getFailedEvents()).slice(0, 10)
  }
}

const documents = DynamoDBDocumentClient.from(client)
const order: TransactWriteItem = { Put: { TableName: "orders", Item: { id: "1", total: 42 } } }
export const sameItem: NonNullable<TransactWriteCommandInput["TransactItems"]>[number] = order

export const withHelper: Promise<number> = withDynamoDBAwsSdkTransaction(async (collector) => {
  collector.push(order)
  await bus.emit({ type: "order.placed", payload: { total: 42 } })
  await documents.send(new TransactWriteCommand({ TransactItems: collector.items }))
  return collector.items?.length ?? 0
})

export async function withExplicitCollector(): Promise<void> {
  const items: TransactWriteItem[] = [order]
  const collector: DynamoDBAwsSdkTransactionCollector = { push: (item) => items.push(item), items }
  await bus.emit({ type: "order.placed", payload: 1 }, collector)
  // As the guide of the original shows it.
  await bus.emit({ type: "order.placed", payload: 2 }, items)
  await documents.send(new TransactWriteCommand({ TransactItems: items }))
}

const own = new AsyncLocalStorage<{ collector: DynamoDBAwsSdkTransactionCollector }>()
export const withOwnStorage = createOutbox(() => own.getStore()?.collector)
export const withTheirStorage = dynamodbAwsSdkTransactionStorage.run({ push: () => {} }, () =>
  dynamodbAwsSdkTransactionStorage.getStore(),
)
