// Stores an order and its event, behind an HTTP API. It never starts the bus: delivering is what the other functions do.
// #region place-order
import {
  TransactionCanceledError,
  withDynamoDBAwsSdkTransaction,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import type { APIGatewayProxyHandlerV2 } from "aws-lambda"
import { bus, client, ordersTable } from "./outbox.ts"

export const handler: APIGatewayProxyHandlerV2 = async ({ body }) => {
  const orderId = orderIdIn(body)
  if (orderId === undefined) return { statusCode: 400, body: "orderId is missing" }
  try {
    await withDynamoDBAwsSdkTransaction(
      async (transaction) => {
        transaction.push({
          Put: {
            TableName: ordersTable,
            Item: { orderId },
            ConditionExpression: "attribute_not_exists(orderId)",
          },
        })
        await bus.emit({ type: "order.placed", payload: { orderId } })
      },
      { client },
    )
  } catch (error) {
    // Also what a caller gets who has missed the response to a first request, and repeats it.
    if (isOrderRefused(error)) return { statusCode: 409, body: `order ${orderId} already exists` }
    throw error
  }
  return { statusCode: 202 }
}

function isOrderRefused(error: unknown): boolean {
  if (!(error instanceof TransactionCanceledError)) return false
  // A conflict that outlasts the retries is listed, too, but says nothing about the order.
  return error.refused.some(
    ({ tableName, code }) => tableName === ordersTable && code === "ConditionalCheckFailed",
  )
}
// #endregion

function orderIdIn(body: string | undefined): string | undefined {
  try {
    const { orderId } = JSON.parse(body ?? "")
    return typeof orderId === "string" && orderId !== "" ? orderId : undefined
  } catch {
    return undefined
  }
}
