// Owns orders. Placing one stores it and its event in one transaction: both are stored, or neither.
import { type DynamoDBDocumentClient, GetCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb"
import {
  type DynamoDBAwsSdkTransactionCollector,
  TransactionCanceledError,
  withDynamoDBAwsSdkTransaction,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import type { BusEvent, IOutboxEventBus } from "outbox-event-bus"

export interface Order {
  orderId: string
  customer: string
  article: string
  postcode: string
}

/** The event only identifies the order. Handlers read the rest when they run, so correcting the order helps a retry. */
export type OrderPlaced = BusEvent<"order.placed", { orderId: string }>

export class OrderNumberTakenError extends Error {
  override readonly name = "OrderNumberTakenError"
}

export class Orders {
  constructor(
    private readonly documents: DynamoDBDocumentClient,
    private readonly tableName: string,
    private readonly bus: IOutboxEventBus<DynamoDBAwsSdkTransactionCollector>,
  ) {}

  // #region place-order
  /** @throws {OrderNumberTakenError} when the order already exists; then nothing is stored, and no event either. */
  async place(order: Order): Promise<void> {
    try {
      await withDynamoDBAwsSdkTransaction(
        async (transaction) => {
          transaction.push({
            Put: {
              TableName: this.tableName,
              Item: order,
              ConditionExpression: "attribute_not_exists(orderId)",
            },
          })
          // The bus finds the transaction by itself, however deep in the call chain.
          await this.bus.emit({ type: "order.placed", payload: { orderId: order.orderId } })
        },
        { client: this.documents },
      )
    } catch (error) {
      if (isRefused(error, this.tableName))
        throw new OrderNumberTakenError(`order ${order.orderId} already exists`)
      throw error
    }
  }
  // #endregion

  async correctPostcode(orderId: string, postcode: string): Promise<void> {
    await this.documents.send(
      new UpdateCommand({
        TableName: this.tableName,
        Key: { orderId },
        UpdateExpression: "SET postcode = :postcode",
        ConditionExpression: "attribute_exists(orderId)",
        ExpressionAttributeValues: { ":postcode": postcode },
      }),
    )
  }
}

export async function findOrder(
  documents: DynamoDBDocumentClient,
  tableName: string,
  orderId: string,
): Promise<Order> {
  const { Item: order } = await documents.send(
    new GetCommand({ TableName: tableName, Key: { orderId }, ConsistentRead: true }),
  )
  if (order === undefined) throw new Error(`there is no order ${orderId}`)
  return order as Order
}

/** Whether the condition of the order was not met. */
function isRefused(error: unknown, ordersTable: string): boolean {
  return (
    error instanceof TransactionCanceledError &&
    error.refused.some(
      ({ tableName, code }) => tableName === ordersTable && code === "ConditionalCheckFailed",
    )
  )
}
