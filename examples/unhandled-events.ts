// A bus that does not complete events whose type it doesn't know.
import type { DynamoDBAwsSdkOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { OutboxEventBus } from "outbox-event-bus"

export function createBus(outbox: DynamoDBAwsSdkOutbox) {
  // #region unhandled-events
  const bus = new OutboxEventBus(outbox, {
    onError: (error) => console.error(error),
    unhandledEvents: "fail",
  })
  // #endregion
  return bus
}
