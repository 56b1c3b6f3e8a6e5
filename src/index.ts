/** The public names of the package. */

export type { CompletedEvents, DynamoDBAwsSdkOutboxConfig, Expiry } from "./config.ts"
export type { DrainResult } from "./delivery/drain.ts"
export type { DeliveryResult } from "./delivery/drains.ts"
export { type AbortReason, getHandlerContext, type HandlerContext } from "./delivery/handler-context.ts"
export type { Deadline, DeliveryBounds, DrainBounds } from "./delivery/start-limit.ts"
export { DynamoDBAwsSdkOutbox, type OutboxHealth } from "./dynamodb-aws-sdk-outbox.ts"
export {
  DuplicateEventIdError,
  EventAlreadyPublishedError,
  UnstorableEventError,
} from "./item/publish-errors.ts"
export { OUTBOX_DIAGNOSTICS_CHANNEL, type OutboxDiagnostic } from "./process/diagnostics.ts"
export type {
  DynamoDBAwsSdkTransaction,
  DynamoDBAwsSdkTransactionCollector,
  TransactWriteItem,
} from "./transaction/collector.ts"
export type { CommitOptions } from "./transaction/commit.ts"
export {
  type RefusedWrite,
  TransactionCanceledError,
  TransactionOutcomeUnknownError,
} from "./transaction/transaction-errors.ts"
export {
  dynamodbAwsSdkTransactionStorage,
  getDynamoDBAwsSdkCollector,
  withDynamoDBAwsSdkTransaction,
} from "./transaction-storage.ts"
