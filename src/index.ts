/** The public names of the package. */

export type { DynamoDBAwsSdkOutboxConfig } from "./config.ts"
export { type AbortReason, getHandlerContext, type HandlerContext } from "./delivery/handler-context.ts"
export { DynamoDBAwsSdkOutbox } from "./dynamodb-aws-sdk-outbox.ts"
export {
  DuplicateEventIdError,
  EventAlreadyPublishedError,
  UnstorableEventError,
} from "./item/publish-errors.ts"
export { OUTBOX_DIAGNOSTICS_CHANNEL, type OutboxDiagnostic } from "./process/diagnostics.ts"
export type { DynamoDBAwsSdkTransactionCollector, TransactWriteItem } from "./transaction/collector.ts"
export {
  dynamodbAwsSdkTransactionStorage,
  getDynamoDBAwsSdkCollector,
  withDynamoDBAwsSdkTransaction,
} from "./transaction-storage.ts"
