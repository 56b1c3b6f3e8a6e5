// A handler that knows which attempt it is, and gives up when its result would come too late.
import { getHandlerContext } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import type { BusEvent, OutboxEventBus } from "outbox-event-bus"

export function bookParcels(bus: OutboxEventBus<unknown>, url: string): void {
  // #region context
  bus.on("order.placed", async (event: BusEvent) => {
    const context = getHandlerContext() // undefined where a unit test calls the handler
    const response = await fetch(url, {
      method: "POST",
      headers: { "idempotency-key": event.id, "x-attempt": String(context?.attempt ?? 1) },
      body: JSON.stringify(event.payload),
      signal: context?.signal ?? null, // aborts the request when the claim is lost or the timeout expires
    })
    if (!response.ok) throw new Error(`the carrier returned ${response.status}`)
  })
  // #endregion
}
