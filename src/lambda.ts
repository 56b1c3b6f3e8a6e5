/** The entry `@outbox-event-bus/dynamodb-aws-sdk-outbox/lambda`: delivery from the table's stream, in a Lambda function. */
export { createStreamHandler, STREAM_FILTERS, type StreamHandler } from "./integrations/stream-handler.ts"
