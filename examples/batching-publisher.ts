// Forwarding events in batches, here to Amazon SQS, with the core's EventPublisher.
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBAwsSdkOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { EventPublisher, OutboxEventBus } from "outbox-event-bus"

/** What the example needs of `SQS` from `@aws-sdk/client-sqs`. */
export interface Queue {
  sendMessageBatch(input: { QueueUrl: string; Entries: { Id: string; MessageBody: string }[] }): Promise<{
    Failed?: { Id: string | undefined; Code: string | undefined; Message?: string | undefined }[] | undefined
  }>
}

export function forwardToQueue(client: DynamoDBClient, sqs: Queue, queueUrl: string) {
  // #region publisher
  const bufferSize = 50
  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: "outbox", concurrency: bufferSize })
  const bus = new OutboxEventBus(outbox, (error) => console.error(error))

  const publisher = new EventPublisher(bus, {
    // Every SQS queue accepts 10 messages and 256 KiB at a time.
    processingConfig: { bufferSize, maxBatchSize: 10, maxBatchBytes: 256 * 1024 },
  })
  publisher.subscribe(["order.placed", "order.shipped"], async (events) => {
    const { Failed = [] } = await sqs.sendMessageBatch({
      QueueUrl: queueUrl,
      // An entry's id allows fewer characters than an event's id, so entries are numbered.
      Entries: events.map((event, i) => ({ Id: String(i), MessageBody: JSON.stringify(event) })),
    })
    // The request succeeds even if SQS refused some messages. Only these are retried.
    return {
      failed: Failed.map(({ Id, Code, Message }) => ({
        id: events[Number(Id)]?.id ?? `of entry ${Id}`,
        error: new Error(`SQS refused the message: ${Code} ${Message ?? ""}`),
      })),
    }
  })

  bus.start()
  // #endregion
  return bus
}
