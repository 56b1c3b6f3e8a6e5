// Owns what happens when an order was placed: a parcel is booked and the shipment recorded, once per event, however
// often the event is delivered.
import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb"
import { type DynamoDBDocumentClient, PutCommand } from "@aws-sdk/lib-dynamodb"
import type { Carrier } from "./carrier.ts"
import { findOrder, type OrderPlaced } from "./orders.ts"

export interface ShippingOptions {
  documents: DynamoDBDocumentClient
  carrier: Carrier
  ordersTable: string
  shipmentsTable: string
  /** Told of each delivery that was handled; `parcel` is missing when the event had been handled before. */
  onShipped?: (event: OrderPlaced, parcel: string | undefined) => void
}

// #region idempotent-handler
/** Makes the handler of `order.placed`. What it throws, the outbox counts as a failed attempt and tries again later. */
export function shipOrders({ documents, carrier, ordersTable, shipmentsTable, onShipped }: ShippingOptions) {
  return async (event: OrderPlaced): Promise<void> => {
    const { orderId, postcode } = await findOrder(documents, ordersTable, event.payload.orderId)

    // Delivery is at least once. The event's id is the same each time: others can tell a repetition by it ...
    const parcel = await carrier.book({ orderId, postcode }, event.id)

    // ... and so can our own tables.
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
