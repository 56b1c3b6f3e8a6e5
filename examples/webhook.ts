// A webhook that may arrive twice: its id is the event's id, so the second one is refused.
import { EventAlreadyPublishedError } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import type { IOutboxEventBus } from "outbox-event-bus"

// #region webhook
export async function receiveWebhook(bus: IOutboxEventBus<unknown>, webhook: { id: string; body: unknown }) {
  try {
    await bus.emit({ id: webhook.id, type: "payment.received", payload: webhook.body })
  } catch (error) {
    // Already stored: the sender retried. Report success, or it retries again.
    if (!(error instanceof EventAlreadyPublishedError)) throw error
  }
}
// #endregion
