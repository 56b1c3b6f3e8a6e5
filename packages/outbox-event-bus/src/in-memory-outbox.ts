// An outbox in memory, for tests and for programs that may lose events when they end.

import { formatErrorMessage } from "./error-message.ts"
import { reportEventError } from "./error-reporting.ts"
import type { BusEvent, FailedBusEvent } from "./event.ts"
import { checkInteger } from "./number-option.ts"
import type { ErrorHandler, IOutbox } from "./outbox.ts"
import { PollingService } from "./polling-service.ts"

type Handler = (event: BusEvent) => Promise<void>
type QueuedEvent = { readonly event: BusEvent; readonly retryCount: number }
type Delivery = { readonly handler: Handler; readonly onError: ErrorHandler }

const POLL_INTERVAL_MS = 10

/** The options of {@link InMemoryOutbox}. */
export type InMemoryOutboxConfig = {
  /**
   * How often an event is tried again after its first failure; an integer of at least 0. The handler runs at most once more
   * than that.
   * @defaultValue 3
   */
  maxRetries?: number
}

/**
 * Keeps events in memory and delivers them every 10 ms, one at a time, in the order published. A failed event is tried again
 * in the next round, behind the others. Transactions are accepted and ignored: an event is queued at once.
 *
 * @example
 * ```ts
 * const bus = new OutboxEventBus(new InMemoryOutbox({ maxRetries: 0 }), onError)
 * ```
 */
export class InMemoryOutbox implements IOutbox<unknown> {
  readonly #maxRetries: number
  readonly #polling: PollingService
  readonly #queue: QueuedEvent[] = []
  #deadLetters: FailedBusEvent[] = []
  #started = false
  /** To whom the latest `start` delivers. */
  #delivery: Delivery | undefined
  /** The end of the latest round: a drain and the polls of a later start take turns, so handlers never run side by side. */
  #lastRound: Promise<void> = Promise.resolve()

  /**
   * @param config - the options
   * @throws {@link ConfigurationError} if `maxRetries` is not an integer of at least 0
   */
  constructor(config: InMemoryOutboxConfig = {}) {
    this.#maxRetries = checkInteger("maxRetries", config.maxRetries ?? 3, 0)
    this.#polling = new PollingService({
      pollIntervalMs: POLL_INTERVAL_MS,
      baseBackoffMs: POLL_INTERVAL_MS,
      processBatch: () => this.#inTurn((delivery) => this.#deliverQueued(delivery)),
    })
  }

  /**
   * Queues events, also while the outbox is stopped: then they are delivered after the next `start`.
   *
   * @param events - the events; the queue holds copies
   * @param _transaction - ignored
   */
  async publish(events: BusEvent[], _transaction?: unknown): Promise<void> {
    for (const event of events) this.#queue.push({ event: { ...event }, retryCount: 0 })
  }

  /** All dead letters, newest occurrence first. */
  async getFailedEvents(): Promise<FailedBusEvent[]> {
    return this.#deadLetters
      .map((event) => ({ ...event }))
      .sort((a, b) => b.occurredAt.getTime() - a.occurredAt.getTime())
  }

  /**
   * Queues dead letters again, with a retry count of 0.
   *
   * @param eventIds - ids of dead letters; others are ignored
   */
  async retryEvents(eventIds: string[]): Promise<void> {
    const ids = new Set(eventIds)
    const chosen = this.#deadLetters.filter(({ id }) => ids.has(id))
    this.#deadLetters = this.#deadLetters.filter(({ id }) => !ids.has(id))
    await this.publish(chosen.map(({ error: _, retryCount: __, lastAttemptAt: ___, ...event }) => event))
  }

  /**
   * Begins to deliver. Does nothing while the outbox is started.
   *
   * @param handler - is called with each event
   * @param onError - gets a `HandlerError` for each failed attempt and a `MaxRetriesExceededError` for the last; it may throw
   */
  start(handler: Handler, onError: ErrorHandler): void {
    if (this.#started) return
    this.#started = true
    this.#delivery = { handler, onError }
    this.#polling.start(handler, onError)
  }

  /**
   * Ends the round under way and then delivers what is queued, retries included; resolves when each of these events is
   * handled or a dead letter. What is published during that last part stays queued for the next `start`, so a handler that
   * publishes whenever it runs can't keep the outbox from stopping.
   */
  async stop(): Promise<void> {
    const mustDrain = this.#started
    this.#started = false
    await this.#polling.stop()
    await this.#inTurn(async (delivery) => {
      if (mustDrain) await this.#drain(delivery)
    })
  }

  /** Runs a round when the rounds before it have ended. */
  async #inTurn(round: (delivery: Delivery) => Promise<void>): Promise<void> {
    this.#lastRound = this.#lastRound.then(async () => {
      if (this.#delivery) await round(this.#delivery)
    })
    await this.#lastRound
  }

  async #deliverQueued(delivery: Delivery): Promise<void> {
    const failed = await this.#deliver(this.#queue.splice(0), delivery)
    this.#queue.push(...failed)
  }

  /** Ends, since each event fails at most `maxRetries + 1` times and none is added. */
  async #drain(delivery: Delivery): Promise<void> {
    let remaining = this.#queue.splice(0)
    while (remaining.length > 0) remaining = await this.#deliver(remaining, delivery)
  }

  /** Hands the events over one by one, and returns those that failed and have attempts left. */
  async #deliver(queued: QueuedEvent[], { handler, onError }: Delivery): Promise<QueuedEvent[]> {
    const toRetry: QueuedEvent[] = []
    for (const { event, retryCount: failedBefore } of queued) {
      try {
        await handler(event)
      } catch (error) {
        const retryCount = failedBefore + 1
        if (retryCount <= this.#maxRetries) toRetry.push({ event, retryCount })
        else this.#deadLetters.push(deadLetter(event, error, retryCount))
        reportEventError(onError, error, event, retryCount, this.#maxRetries)
      }
    }
    return toRetry
  }
}

function deadLetter(event: BusEvent, error: unknown, retryCount: number): FailedBusEvent {
  return { ...event, error: formatErrorMessage(error), retryCount, lastAttemptAt: new Date() }
}
