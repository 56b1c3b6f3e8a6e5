/** Delivery without a poll loop: a start hands over the handlers, which run when the caller says so. */
import { type BusEvent, type ErrorHandler, OperationalError } from "outbox-event-bus"
import type { RequestDeadline } from "../database/request-deadline.ts"
import { warnOfStopInsideHandler } from "../process/warnings.ts"
import type { Row } from "../state/status-index.ts"
import type { AbandonedClaims } from "./abandoned-claims.ts"
import type { Drain, DrainResult } from "./drain.ts"
import type { ErrorReporter } from "./error-reporter.ts"
import { HandlerDurations } from "./handler-durations.ts"
import { OwnContext } from "./own-context.ts"
import { type DeliveryBounds, type DrainBounds, DrainLimit } from "./start-limit.ts"

/** What has become of events that were to be delivered at once. */
export interface DeliveryResult extends DrainResult {
  /** The ids of those whose claim has failed, so that it is not known who has them. */
  unclaimed: string[]
}

export type DrainFactory = (limit: DrainLimit, durations: HandlerDurations, rows?: readonly Row[]) => Drain

export class Drains {
  private readonly context = new OwnContext()
  private readonly durations = new HandlerDurations()
  /** Also those that have resolved at their deadline, and whose handlers still run. */
  private readonly running = new Set<Drain>()
  private handler: ((event: BusEvent) => Promise<void>) | undefined
  private stopping: Promise<unknown> | undefined

  /** @param create - Makes a drain. */
  constructor(
    private readonly create: DrainFactory,
    private readonly deadline: RequestDeadline,
    private readonly abandoned: AbandonedClaims,
    private readonly errors: ErrorReporter,
  ) {}

  start(handler: (event: BusEvent) => Promise<void>, onError: ErrorHandler): void {
    if (this.handler) return
    this.handler = handler
    this.errors.onError = onError
  }

  /** Handlers that run; undefined without handlers. */
  get runningHandlers(): number | undefined {
    return this.handler && [...this.running].reduce((sum, drain) => sum + drain.runningHandlers, 0)
  }

  async drain(bounds: DrainBounds): Promise<DrainResult> {
    const { result } = await this.run(bounds)
    return result
  }

  /** @param rows - Those to deliver, if they are due and nobody else has claimed them. */
  async deliver(rows: readonly Row[], bounds: DeliveryBounds): Promise<DeliveryResult> {
    const { result, drain } = await this.run(bounds, rows)
    return { ...result, unclaimed: [...drain.unclaimed] }
  }

  /** Starts no more handlers, waits for those that run, releases what was claimed for later. */
  async stop(): Promise<void> {
    this.handler = undefined
    if (this.isCalledByHandler) {
      for (const drain of this.running) void drain.stop()
      warnOfStopInsideHandler()
      return
    }
    this.stopping ??= this.end().finally(() => {
      this.stopping = undefined
    })
    await this.stopping
  }

  private async end(): Promise<void> {
    this.deadline.stop()
    await Promise.all([...this.running].map((drain) => drain.stop()))
    await this.abandoned.idle()
    this.deadline.restart()
  }

  private async run(bounds: DrainBounds, rows?: readonly Row[]) {
    if (this.isCalledByHandler) {
      throw new OperationalError(
        "A handler can't drain the outbox that has called it: it would wait for itself.",
      )
    }
    // Only then: a stop that comes in the same turn must find the drain.
    if (this.stopping) await this.stopping
    const { handler } = this
    if (!handler) {
      throw new OperationalError("There are no handlers to deliver to. Call start() of the bus first.")
    }
    const drain = this.create(new DrainLimit(bounds, this.durations), this.durations, rows)
    this.running.add(drain)
    const ended = this.context.run(() => drain.run(handler, this.errors.report))
    void drain.settled.finally(() => this.running.delete(drain))
    return { drain, result: await ended }
  }

  private get isCalledByHandler(): boolean {
    return [...this.running].some((drain) => drain.isCalledByHandler)
  }
}
