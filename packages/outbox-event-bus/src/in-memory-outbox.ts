// An outbox in memory, for tests and for programs that may lose events when they end.

import { AsyncLocalStorage } from "node:async_hooks"
import { deepCopy } from "./deep-copy.ts"
import { formatErrorMessage } from "./error-message.ts"
import { reportEventError } from "./error-reporting.ts"
import type { BusEvent, FailedBusEvent } from "./event.ts"
import { checkInteger } from "./number-option.ts"
import type { ErrorHandler, IOutbox } from "./outbox.ts"
import { PollingService } from "./polling-service.ts"
import { isRelease, RELEASE } from "./release.ts"

type Handler = (event: BusEvent) => Promise<void>
type QueuedEvent = { readonly event: BusEvent; readonly failures: number }
type ReleasedEvent = { readonly queued: QueuedEvent; pollsToWait: number }
/** To whom the latest `start` delivers and reports. */
type Delivery = { readonly handler: Handler; onError: ErrorHandler }

/** The handler that a call comes from, however many awaits later, and the outbox that runs it, known by its state. */
const runningHandler = new AsyncLocalStorage<{ readonly state: object; hasEnded: boolean }>()

const POLL_INTERVAL_MS = 10
/** The pause of a released event. Counted in polls rather than measured, so that fake timers need no clock. */
const POLLS_TO_WAIT = 10

/** The options of {@link InMemoryOutbox}. */
export type InMemoryOutboxConfig = {
  /**
   * How often an event is retried after its first failure; an integer of at least 0, or `Infinity`. The handler runs at most
   * once more than that.
   * @defaultValue 3
   */
  maxRetries?: number
}

/**
 * Keeps events in memory and delivers them every 10 ms, one at a time, in the order published. Failed events are retried in
 * the next round, ahead of what was published meanwhile. Transactions are accepted and ignored: an event is queued at once.
 *
 * As from a database, each delivery is a copy of its own, taken of the event as it was published: plain objects, arrays, Dates, Maps and
 * Sets are copied at any depth, everything else is passed by reference.
 *
 * @example
 * ```ts
 * const bus = new OutboxEventBus(new InMemoryOutbox({ maxRetries: 0 }), onError)
 * ```
 */
export class InMemoryOutbox implements IOutbox<unknown> {
  /** Is told about failed attempts. Set by `start`, also while the outbox is started; may be replaced at any time. */
  onError: ErrorHandler | undefined

  /** Tells the bus that this outbox releases events. */
  readonly [RELEASE] = true

  private readonly maxRetries: number
  private readonly polling: PollingService
  /** What changes, in an object of its own, which objects created from this one share. */
  private readonly state: {
    queue: QueuedEvent[]
    released: ReleasedEvent[]
    deadLetters: FailedBusEvent[]
    started: boolean
    delivery?: Delivery
    /** The end of the latest round: a drain and the polls of a later start take turns, so handlers never run side by side. */
    lastRound: Promise<void>
  } = { queue: [], released: [], deadLetters: [], started: false, lastRound: Promise.resolve() }

  /**
   * @param config - the options
   * @throws {@link ConfigurationError} if `maxRetries` is not an integer of at least 0
   */
  constructor(config: InMemoryOutboxConfig = {}) {
    this.maxRetries = checkInteger("maxRetries", config?.maxRetries ?? 3, 0)
    this.polling = new PollingService({
      pollIntervalMs: POLL_INTERVAL_MS,
      baseBackoffMs: POLL_INTERVAL_MS,
      processBatch: () =>
        this.inTurn((delivery) => {
          this.queueReleased()
          return this.deliverQueued(delivery)
        }),
    })
  }

  /**
   * Queues events, also while the outbox is stopped: then they are delivered after the next `start`.
   *
   * @param events - the events; the queue holds copies
   * @param _transaction - ignored
   * @throws whatever a getter in a payload throws; then nothing is queued
   */
  async publish(events: BusEvent[], _transaction?: unknown): Promise<void> {
    // All copies first: where one can't be made, nothing is queued.
    const copies = events.map((event) => deepCopy({ ...event }))
    for (const event of copies) this.state.queue.push({ event, failures: 0 })
  }

  /**
   * All dead letters, in the order in which they were dead-lettered. The `retryCount` of each is `maxRetries`: its first attempt
   * was no retry.
   */
  async getFailedEvents(): Promise<FailedBusEvent[]> {
    return deepCopy(this.state.deadLetters)
  }

  /**
   * Queues dead letters again, with a retry count of 0.
   *
   * @param eventIds - ids of dead letters; others are ignored
   */
  async retryEvents(eventIds: string[]): Promise<void> {
    const { state } = this
    const ids = new Set(eventIds)
    const chosen = state.deadLetters.filter(({ id }) => ids.has(id))
    state.deadLetters = state.deadLetters.filter(({ id }) => !ids.has(id))
    await this.publish(chosen.map(({ error: _, retryCount: __, lastAttemptAt: ___, ...event }) => event))
  }

  /**
   * Begins to deliver. While the outbox is started, it sets `onError` and does nothing else.
   *
   * @param handler - is called with each event
   * @param onError - gets a `HandlerError` for each failed attempt and a `MaxRetriesExceededError` for the last; it may throw
   */
  start(handler: Handler, onError: ErrorHandler): void {
    const { state } = this
    this.onError = onError
    const report: ErrorHandler = (error) => this.onError?.(error)
    if (state.started && state.delivery) {
      state.delivery.onError = report
      return
    }
    state.started = true
    state.delivery = { handler, onError: report }
    this.polling.start(handler, report)
  }

  /**
   * Delivers what is queued, retries and what handlers publish meanwhile included; resolves when each of these events is
   * handled or a dead letter. So it does not resolve while a handler publishes without end. A `start` before that takes over
   * what is left. Released events stay queued for the next `start`.
   *
   * Called inside a handler, it resolves at once, with a process warning: it can't wait for that handler, which may be waiting for it. The
   * outbox stops all the same, when the handler has ended.
   */
  async stop(): Promise<void> {
    const ended = this.end()
    const caller = runningHandler.getStore()
    if (caller?.state !== this.state || caller.hasEnded) return ended
    process.emitWarning("stop() was called inside a handler, so it does not wait for that handler to end", {
      type: "OutboxEventBusWarning",
      code: "OUTBOX_STOP_INSIDE_HANDLER",
    })
  }

  private async end(): Promise<void> {
    const { state } = this
    const mustDrain = state.started
    state.started = false
    await this.polling.stop()
    await this.inTurn(async (delivery) => {
      while (mustDrain && !state.started && state.queue.length > 0) await this.deliverQueued(delivery)
    })
  }

  /** Runs a round when the rounds before it have ended. */
  private async inTurn(round: (delivery: Delivery) => Promise<void>): Promise<void> {
    const { state } = this
    state.lastRound = state.lastRound.then(async () => {
      if (state.delivery) await round(state.delivery)
    })
    await state.lastRound
  }

  /** Hands over what is queued now, one by one. What fails with attempts left comes first in the next round. */
  private async deliverQueued(delivery: Delivery): Promise<void> {
    const { state } = this
    const toRetry: QueuedEvent[] = []
    for (const queued of state.queue.splice(0)) {
      const { event, failures: failedBefore } = queued
      try {
        await this.runHandler(delivery.handler, deepCopy(event))
      } catch (error) {
        if (isRelease(error)) {
          state.released.push({ queued, pollsToWait: POLLS_TO_WAIT })
          continue
        }
        const failures = failedBefore + 1
        if (failures <= this.maxRetries) toRetry.push({ event, failures })
        else state.deadLetters.push(deadLetter(event, error, this.maxRetries))
        reportEventError(delivery.onError, error, deepCopy(event), failures, this.maxRetries)
      }
    }
    state.queue = [...toRetry, ...state.queue]
  }

  private async runHandler(handler: Handler, event: BusEvent): Promise<void> {
    const run = { state: this.state, hasEnded: false }
    try {
      await runningHandler.run(run, () => handler(event))
    } finally {
      run.hasEnded = true
    }
  }

  /** Called by polls alone, not while `stop` drains: a drain that saw released events again would not end. */
  private queueReleased(): void {
    const { state } = this
    for (const released of state.released) released.pollsToWait -= 1
    const due = state.released.filter(({ pollsToWait }) => pollsToWait <= 0)
    state.released = state.released.filter(({ pollsToWait }) => pollsToWait > 0)
    state.queue = [...due.map(({ queued }) => queued), ...state.queue]
  }
}

function deadLetter(event: BusEvent, error: unknown, retryCount: number): FailedBusEvent {
  return { ...event, error: formatErrorMessage(error), retryCount, lastAttemptAt: new Date() }
}
