// The ways to store an event in the same transaction as the data it is about.
import { AsyncLocalStorage } from "node:async_hooks"
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { type DynamoDBDocumentClient, TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import {
  DynamoDBAwsSdkOutbox,
  type DynamoDBAwsSdkTransactionCollector,
  TransactionCanceledError,
  type TransactWriteItem,
  withDynamoDBAwsSdkTransaction,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { OutboxEventBus } from "outbox-event-bus"

interface Order {
  orderId: string
  total: number
}

type EventBus = OutboxEventBus<DynamoDBAwsSdkTransactionCollector>

/** With the helper; the outbox has `getCollector: getDynamoDBAwsSdkCollector()`. */
export async function withTheHelper(client: DynamoDBClient, bus: EventBus, order: Order) {
  // #region helper
  await withDynamoDBAwsSdkTransaction(
    async (transaction) => {
      transaction.push({ Put: { TableName: "orders", Item: order } })
      await bus.emit({ type: "order.placed", payload: { orderId: order.orderId } })
    },
    { client },
  )
  // #endregion
}

/** The same, sent by the function itself: for code that was written for the original. */
export async function sendingYourself(documents: DynamoDBDocumentClient, bus: EventBus, order: Order) {
  // #region sending-yourself
  await withDynamoDBAwsSdkTransaction(async (transaction) => {
    transaction.push({ Put: { TableName: "orders", Item: order } })
    await bus.emit({ type: "order.placed", payload: { orderId: order.orderId } })
    await documents.send(new TransactWriteCommand({ TransactItems: transaction.items }))
  })
  // #endregion
}

/** With an AsyncLocalStorage of your own, such as the one a framework keeps per request. */
export function withYourOwnStorage(client: DynamoDBClient, documents: DynamoDBDocumentClient) {
  // #region own-storage
  const transactions = new AsyncLocalStorage<TransactWriteItem[]>()

  const outbox = new DynamoDBAwsSdkOutbox({
    client,
    tableName: "outbox",
    getCollector: () => transactions.getStore(),
  })

  async function inTransaction<T>(work: () => Promise<T>): Promise<T> {
    const items: TransactWriteItem[] = []
    const result = await transactions.run(items, work)
    if (items.length > 0) await documents.send(new TransactWriteCommand({ TransactItems: items }))
    outbox.wake()
    return result
  }
  // #endregion
  return { bus: new OutboxEventBus(outbox, (error) => console.error(error)), inTransaction, transactions }
}

/** With an array passed to `emit`. */
export async function withABareArray(documents: DynamoDBDocumentClient, bus: EventBus, order: Order) {
  // #region bare-array
  const items: TransactWriteItem[] = [{ Put: { TableName: "orders", Item: order } }]
  await bus.emit({ type: "order.placed", payload: { orderId: order.orderId } }, items)
  await documents.send(new TransactWriteCommand({ TransactItems: items }))
  // #endregion
}

/** With an object passed to `emit`, such as a unit of work that you already have. */
export async function withAnExplicitCollector(
  documents: DynamoDBDocumentClient,
  bus: EventBus,
  order: Order,
) {
  // #region explicit-collector
  const items: TransactWriteItem[] = []
  const unitOfWork = { items, push: (item: TransactWriteItem) => void items.push(item) }

  unitOfWork.push({ Put: { TableName: "orders", Item: order } })
  await bus.emit({ type: "order.placed", payload: { orderId: order.orderId } }, unitOfWork)
  await documents.send(new TransactWriteCommand({ TransactItems: unitOfWork.items }))
  // #endregion
}

/** With an id of your own, so that retrying a publish whose outcome is unknown stores the event once. */
export async function withAnIdOfYourOwn(bus: EventBus, orderId: string) {
  // #region own-id
  await bus.emit({ id: `order-placed-${orderId}`, type: "order.placed", payload: { orderId } })
  // #endregion
}

/** Finds out which write was refused. */
export async function whenItIsRefused(client: DynamoDBClient, bus: EventBus, order: Order) {
  // #region refused
  try {
    await withDynamoDBAwsSdkTransaction(
      async (transaction) => {
        transaction.push({
          Put: { TableName: "orders", Item: order, ConditionExpression: "attribute_not_exists(orderId)" },
        })
        await bus.emit({ type: "order.placed", payload: { orderId: order.orderId } })
      },
      { client },
    )
  } catch (error) {
    if (!(error instanceof TransactionCanceledError)) throw error
    // For example: write 0 (Put in "orders", orderId = '42'): its condition failed
    console.warn(error.message)
    // Not a conflict that outlasted the retries: that is listed, too.
    const isTaken = error.refused.some(
      ({ tableName, code }) => tableName === "orders" && code === "ConditionalCheckFailed",
    )
    if (isTaken) return "exists already"
    throw error
  }
  // #endregion
  return "placed"
}

/** A handler that emits: it may run again after it has committed. */
export function emittingFromAHandler(client: DynamoDBClient, bus: EventBus) {
  // #region emitting-handler
  bus.on("order.placed", async (event) => {
    try {
      await withDynamoDBAwsSdkTransaction(
        async () => {
          // The same id each time, so that the follow-up is stored once.
          await bus.emit({
            id: `shipment-requested-${event.id}`,
            type: "shipment.requested",
            payload: event.payload,
          })
        },
        { client },
      )
    } catch (error) {
      // An earlier attempt has committed this, and failed or died after that.
      if (!(error instanceof TransactionCanceledError && error.isRepetition)) throw error
    }
  })
  // #endregion
}
