// Delivers new events within moments: the stream of the outbox table invokes it.
// #region deliver-new
import { createStreamHandler } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/lambda"
import { bus, outbox } from "./outbox.ts"

// Hands over the handlers, and starts no loop.
bus.start()

export const handler = createStreamHandler(outbox)
// #endregion
