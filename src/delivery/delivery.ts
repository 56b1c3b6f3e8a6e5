/** One run of deliveries, from start to stop: the poll loop, and what it does in each poll. */

import { type BusEvent, type ErrorHandler, PollingService } from "outbox-event-bus"
import type { ResolvedConfig } from "../config.ts"
import { MAX_DELAY_MS, unref } from "../process/background-timer.ts"
import { Diagnostics } from "../process/diagnostics.ts"
import type { EventOperations, StuckEvents } from "./event-operations.ts"
import { LOOK_AGAIN_MS, pollUntil } from "./poll.ts"
import { Recovery } from "./recovery.ts"
import { Relay } from "./relay.ts"
import { LastPage } from "./start-limit.ts"

/** By then, the index usually shows what has just been published. */
const INDEX_LAG_MS = 100

/** A stop that lets the first poll deliver a page: for so long handlers start, and for so long the way there may take. */
const LAST_PAGE_MS = { handlers: 10_000, preparation: 5000 }

/** How a relay does. */
export interface DeliveryHealth {
  /** Handlers that run now. */
  readonly runningHandlers: number
  /** When a poll has last ended well; none has if undefined. */
  readonly lastPollSucceededAt?: Date
  /** When a poll has last failed. */
  readonly lastPollFailedAt?: Date
}

export class Delivery {
  private readonly diagnostics: Diagnostics
  private readonly relay: Relay
  private readonly recovery: Recovery
  private readonly poller: PollingService
  /** Throws what a read has failed with, or what that means. */
  private readonly fail: (error: unknown) => Promise<never>
  private recheckTimer: NodeJS.Timeout | undefined
  private hasEnded = false
  private lastSuccessAt: Date | undefined
  private lastFailureAt: Date | undefined
  /** The one timer that keeps the process alive: a started relay has work even while all it waits for is not referenced. */
  private keepAlive: NodeJS.Timeout | undefined
  private handler: ((event: BusEvent) => Promise<void>) | undefined
  private firstPoll: "ahead" | "under way" | "over" = "ahead"
  /** By the clock of `performance`: a poll that begins later than this delivers nothing. */
  private preparesUntil = Number.POSITIVE_INFINITY

  constructor(
    life: EventOperations & StuckEvents,
    private readonly config: ResolvedConfig,
  ) {
    this.fail = async (error) => {
      throw await life.explained(error)
    }
    this.diagnostics = new Diagnostics(config.tableName)
    this.relay = new Relay(life, config, () => this.wakePoller(), this.diagnostics)
    this.recovery = new Recovery(
      life,
      {
        intervalMs: config.processingTimeoutMs / 2,
        batchSize: config.batchSize,
      },
      (id) => this.relay.holds(id),
      this.diagnostics,
    )
    this.poller = new PollingService({
      pollIntervalMs: config.pollIntervalMs,
      baseBackoffMs: config.baseBackoffMs,
      maxErrorBackoffMs: config.maxErrorBackoffMs,
      performMaintenance: () => this.recovery.runIfDue().catch(this.fail),
      processBatch: (handler) => this.handleDue(handler),
    })
  }

  begin(handler: (event: BusEvent) => Promise<void>, onError: ErrorHandler): void {
    this.diagnostics.tell?.({ what: "started" })
    this.handler = handler
    this.keepAlive = setInterval(() => {}, MAX_DELAY_MS)
    this.poller.start(handler, onError)
  }

  /**
   * For good. Resolves when all that runs has ended and is settled; also if it has never begun. A first poll that has not handed
   * over anything yet still delivers a page.
   */
  async end(): Promise<void> {
    this.diagnostics.tell?.({ what: "stopping" })
    this.hasEnded = true
    clearTimeout(this.recheckTimer)
    if (this.handler && this.firstPoll !== "over" && !this.relay.hasStarted)
      await this.endWithFirstPage(this.handler)
    this.recovery.stop()
    await Promise.allSettled([this.relay.stop(), this.poller.stop()])
    clearInterval(this.keepAlive)
    this.diagnostics.tell?.({ what: "stopped" })
  }

  private async endWithFirstPage(handler: (event: BusEvent) => Promise<void>): Promise<void> {
    this.preparesUntil = performance.now() + LAST_PAGE_MS.preparation
    this.recovery.stop({ afterMs: LAST_PAGE_MS.preparation })
    this.relay.limitTo(new LastPage(this.config.batchSize, LAST_PAGE_MS.handlers))
    this.relay.announceStop()
    await Promise.allSettled([this.poller.stop()])
    // Another implementation of the core may stop before its first poll has come to the batch.
    if (this.firstPoll === "ahead") await Promise.allSettled([this.handleDue(handler)])
  }

  get health(): DeliveryHealth {
    const { lastSuccessAt, lastFailureAt } = this
    return {
      runningHandlers: this.relay.runningCount,
      ...(lastSuccessAt && { lastPollSucceededAt: lastSuccessAt }),
      ...(lastFailureAt && { lastPollFailedAt: lastFailureAt }),
    }
  }

  /** Whether the caller is one of its handlers. */
  get isCalledByHandler(): boolean {
    return this.relay.isCalledByHandler
  }

  /** Looks for due events now, and once more when a lagging index shows what this look may have missed. */
  wake(): void {
    this.wakePoller()
    this.recheckIn(INDEX_LAG_MS)
  }

  private async handleDue(handler: (event: BusEvent) => Promise<void>): Promise<void> {
    if (performance.now() >= this.preparesUntil) return
    if (this.firstPoll === "ahead") this.firstPoll = "under way"
    const until = pollUntil(this.config.processingTimeoutMs)
    const outcome = await this.relay
      .handleDue(handler, until)
      .catch((error) => {
        this.lastFailureAt = new Date()
        return this.fail(error)
      })
      .finally(() => {
        this.firstPoll = "over"
      })
    this.lastSuccessAt = new Date()
    const { least, most } = LOOK_AGAIN_MS
    if (outcome === "unfinished") this.wakePoller()
    else if (outcome === "unsure") this.recheckIn(least + Math.random() * (most - least))
  }

  private recheckIn(delayMs: number): void {
    // Anew each time: only a look after the last of several events can see them all.
    clearTimeout(this.recheckTimer)
    if (this.hasEnded) return
    this.recheckTimer = unref(setTimeout(() => this.wakePoller(), delayMs))
  }

  private wakePoller(): void {
    // Other implementations of the core need not have it; there, the next poll finds the events.
    ;(this.poller as { wake?: () => void }).wake?.()
  }
}
