// Handing events on in batches, here to Amazon SQS, with the core's EventPublisher.
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBAwsSdkOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { type BusEvent, EventPublisher, OutboxEventBus } from "outbox-event-bus"

export function publishInBatches(client: DynamoDBClient, sendBatch: (events: BusEvent[]) => Promise<void>) {
  // #region publisher
  const bufferSize = 50
  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: "outbox", concurrency: bufferSize })
  const bus = new OutboxEventBus(outbox, (error) => console.error(error))

  const publisher = new EventPublisher(bus, {
    processingConfig: { bufferSize, maxBatchSize: 10 }, // SQS takes 10 messages at a time
  })
  publisher.subscribe(["order.placed", "order.shipped"], (events) => sendBatch(events))

  bus.start()
  // #endregion
  return bus
}
