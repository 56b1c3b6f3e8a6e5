/**
 * The deliveries of an outbox, one after the other: a start waits for the end of the one before, and its handlers run in
 * the asynchronous context in which the outbox was made.
 */
import type { BusEvent, ErrorHandler } from "outbox-event-bus"
import type { RequestDeadline } from "../database/request-deadline.ts"
import { warnOfStopInsideHandler } from "../process/warnings.ts"
import type { AbandonedClaims } from "./abandoned-claims.ts"
import type { Delivery, DeliveryHealth } from "./delivery.ts"
import type { ErrorReporter } from "./error-reporter.ts"
import { OwnContext } from "./own-context.ts"

export class Deliveries {
  private readonly context = new OwnContext()
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
      this.context.run(() => delivery.begin(handler, this.errors.report))
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
    warnOfStopInsideHandler()
  }

  /** That of the delivery that is started; undefined if none is. */
  get health(): DeliveryHealth | undefined {
    return this.current?.health
  }

  wake(): void {
    this.context.run(() => this.current?.wake())
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
