// Low latency across processes: whoever publishes sends the worker a signal. Here it is an HTTP request; a message from Redis
// or SNS does as well. A lost signal costs latency only, since polling still finds the event.
import { createServer } from "node:http"
import type { DynamoDBAwsSdkOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"

// #region wake
export function listenForPublishers(outbox: DynamoDBAwsSdkOutbox, port: number) {
  return createServer((_request, response) => {
    outbox.wake()
    response.writeHead(204).end()
  }).listen(port)
}
// #endregion
