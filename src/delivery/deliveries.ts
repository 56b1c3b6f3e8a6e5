/**
 * The deliveries of an outbox, one after the other: a start waits for the end of the one before, and its handlers run in
 * the asynchronous context in which the outbox was made.
 */
import { AsyncResource } from "node:async_hooks"
import type { BusEvent, ErrorHandler } from "outbox-event-bus"
import type { RequestDeadline } from "../database/request-deadline.ts"
import { warnOnce } from "../process/warnings.ts"
import { dynamodbAwsSdkTransactionStorage } from "../transaction-storage.ts"
import type { AbandonedClaims } from "./abandoned-claims.ts"
import type { Delivery } from "./delivery.ts"
import type { ErrorReporter } from "./error-reporter.ts"

export class Deliveries {
  private readonly origin = new AsyncResource("DynamoDBAwsSdkOutbox")
  private current: Delivery | undefined
  /** Those that were stopped and have not ended. */
  private readonly stopped = new Set<Delivery>()
  /** The end of the last of them, until it has come. */
  private ending: Promise<unknown> | undefined

  /** @param create - Makes the next delivery; what it throws, {@link start} throws. */
  constructor(
    private readonly create: () => Delivery,
    private readonly deadline: RequestDeadline,
    private readonly abandoned: AbandonedClaims,
    private readonly errors: ErrorReporter,
  ) {}

  start(handler: (event: BusEvent) => Promise<void>, onError: ErrorHandler): void {
    if (this.current) return
    const delivery = this.create()
    this.current = delivery
    const begin = () => {
      this.errors.onError = onError
      this.deadline.restart()
      // Whoever starts it in a transaction, of ours or with an AsyncLocalStorage of their own, does not mean the handlers to emit
      // into that.
      this.origin.runInAsyncScope(() =>
        dynamodbAwsSdkTransactionStorage.exit(() => delivery.begin(handler, this.errors.report)),
      )
    }
    if (this.ending) void this.ending.then(begin)
    else begin()
  }

  async stop(): Promise<void> {
    if (this.current) this.ending = this.end(this.current)
    if (![...this.stopped].some(({ isCalledByHandler }) => isCalledByHandler)) {
      await this.ending
      return
    }
    warnOnce(
      "OUTBOX_STOP_INSIDE_HANDLER",
      "stop() was called inside a handler, so it does not wait for that handler to end",
    )
  }

  wake(): void {
    this.origin.runInAsyncScope(() => this.current?.wake())
  }

  private end(delivery: Delivery): Promise<void> {
    this.current = undefined
    this.stopped.add(delivery)
    const end = () => {
      this.deadline.stop()
      return delivery.end()
    }
    // One that was started while the last stop was under way has its first page, too.
    const ended = this.ending ? this.ending.then(end) : end()
    const ending: Promise<void> = ended.then(async () => {
      this.stopped.delete(delivery)
      await this.abandoned.idle()
      // The next start need not wait, so a stop right after it finds a poll under way.
      if (this.ending === ending) this.ending = undefined
    })
    return ending
  }
}
