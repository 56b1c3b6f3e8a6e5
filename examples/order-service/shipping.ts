// Owns what happens after an order was placed: it books a parcel and records the shipment, once per event, however often
// the event is delivered.
import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb"
import { type DynamoDBDocumentClient, PutCommand } from "@aws-sdk/lib-dynamodb"
import type { Carrier } from "./carrier.ts"
import { findOrder, type OrderPlaced } from "./orders.ts"

export interface ShippingOptions {
  documents: DynamoDBDocumentClient
  carrier: Carrier
  ordersTable: string
  shipmentsTable: string
  /** Called for each handled delivery; `parcel` is missing if the event had been handled before. */
  onShipped?: (event: OrderPlaced, parcel: string | undefined) => void
}

// #region idempotent-handler
/** Makes the handler of `order.placed`. If it throws, the outbox counts a failed attempt and retries later. */
export function shipOrders({ documents, carrier, ordersTable, shipmentsTable, onShipped }: ShippingOptions) {
  return async (event: OrderPlaced): Promise<void> => {
    const { orderId, postcode } = await findOrder(documents, ordersTable, event.payload.orderId)

    // Delivery is at least once, always with the same event id. The carrier recognizes a repetition by it ...
    const parcel = await carrier.book({ orderId, postcode }, event.id)

    // ... and so does our own table.
    try {
      await documents.send(
        new PutCommand({
          TableName: shipmentsTable,
          Item: { eventId: event.id, orderId, parcel },
          ConditionExpression: "attribute_not_exists(eventId)",
        }),
      )
      onShipped?.(event, parcel)
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error
      onShipped?.(event, undefined)
    }
  }
}
// #endregion
