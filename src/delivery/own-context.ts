/**
 * The asynchronous context in which the outbox was made: handlers run there. Whoever starts them in a transaction, of ours or
 * with an AsyncLocalStorage of their own, does not mean the handlers to emit into that.
 */
import { AsyncResource } from "node:async_hooks"
import { dynamodbAwsSdkTransactionStorage } from "../transaction-storage.ts"

export class OwnContext {
  private readonly resource = new AsyncResource("DynamoDBAwsSdkOutbox")

  run<T>(fn: () => T): T {
    return this.resource.runInAsyncScope(() => dynamodbAwsSdkTransactionStorage.exit(fn))
  }
}
