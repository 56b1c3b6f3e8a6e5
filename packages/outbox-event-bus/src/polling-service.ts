// The poll loop of an outbox: when to poll, how long to pause, how to stop. What a poll does is the outbox's business.

import { reportError } from "./error-reporting.ts"
import { MaintenanceError, OperationalError, OutboxError } from "./errors.ts"
import type { BusEvent } from "./event.ts"
import { checkMilliseconds, exponentialDelay } from "./number-option.ts"
import type { ErrorHandler } from "./outbox.ts"
import { PollingRun } from "./polling-run.ts"

type Handler = (event: BusEvent) => Promise<void>

/** The options of {@link PollingService}. */
export interface PollingServiceConfig {
  /** The pause between the end of a poll and the next, in milliseconds, from 0; `null` means 1000. */
  pollIntervalMs: number
  /**
   * After n failed polls in a row, the next one follows after `baseBackoffMs · 2^n`, in milliseconds, from 0; `null` means 1000.
   */
  baseBackoffMs: number
  /**
   * The longest delay after a failed poll, in milliseconds, from 0; `Infinity` for no limit.
   * @defaultValue 30000
   */
  maxErrorBackoffMs?: number
  /** Fetches what is due and calls the handler with each event; resolves when they have been handled. */
  processBatch: (handler: Handler) => Promise<void>
  /** Upkeep before each batch, such as the recovery of abandoned events. Its failure does not keep the batch from being processed. */
  performMaintenance?: () => Promise<void>
}

/**
 * Polls, one poll after another, until it is stopped.
 *
 * @example
 * ```ts
 * const polling = new PollingService({
 *   pollIntervalMs: 1000,
 *   baseBackoffMs: 1000,
 *   performMaintenance: () => recoverAbandoned(),
 *   processBatch: async (handler) => {
 *     for (const event of await fetchDue()) await handler(event)
 *   },
 * })
 * polling.start(handler, onError)
 * await polling.stop()
 * ```
 */
export class PollingService {
  /** Is told about failures of polls. Set by `start`, and free for the outbox's own reports. */
  onError: ErrorHandler | undefined

  private readonly config: PollingServiceConfig
  private readonly times: Required<
    Pick<PollingServiceConfig, "pollIntervalMs" | "baseBackoffMs" | "maxErrorBackoffMs">
  >
  /** The latest run, until it has ended. In an object of its own, which objects created from this one share. */
  private readonly latest: { run?: PollingRun | undefined } = {}

  /**
   * @param config - the times, and what a poll does
   * @throws {@link ConfigurationError} for a time that is not allowed; it names the option, the value and what is allowed
   */
  constructor(config: PollingServiceConfig) {
    this.config = config
    this.times = {
      pollIntervalMs: checkMilliseconds("pollIntervalMs", config.pollIntervalMs ?? 1000),
      baseBackoffMs: checkMilliseconds("baseBackoffMs", config.baseBackoffMs ?? 1000),
      maxErrorBackoffMs: checkMilliseconds("maxErrorBackoffMs", config.maxErrorBackoffMs ?? 30_000),
    }
  }

  /**
   * Polls at once, before it returns, and then `pollIntervalMs` after each poll has ended. While the service is started, it
   * sets `onError` and does nothing else. After a `stop` that has not resolved yet, the first poll follows the end of the poll
   * under way.
   *
   * @param handler - handed to `processBatch`
   * @param onError - is told about failures; it may throw
   */
  start(handler: Handler, onError: ErrorHandler): void {
    this.onError = onError
    const previous = this.latest.run
    if (previous && !previous.stopped) return
    const run = new PollingRun()
    this.latest.run = run
    void this.poll(run, handler, previous)
  }

  /**
   * Polls no more. Resolves when the poll under way, maintenance and batch, has ended, at once if none is; never rejects. So
   * the first poll of a `start` is always complete. Must not be awaited by a handler, for which the poll waits.
   */
  async stop(): Promise<void> {
    const { run } = this.latest
    run?.stop()
    await run?.ended
  }

  /**
   * Polls now instead of after the pause. During a poll, another one follows it immediately; calls meanwhile count as one.
   * The delay after a failure is not shortened, and a service that is not started stays so.
   *
   * The poll runs in the async context of `start`, not of the caller: a transaction that the caller holds in an
   * `AsyncLocalStorage` does not reach the handlers.
   */
  wake(): void {
    this.latest.run?.wake()
  }

  /**
   * The delay after the n-th failure in a row: `baseBackoffMs · 2^(n-1)`, give or take up to 10 % at random so that workers
   * which failed together do not come back together.
   *
   * @param attempt - n, from 1
   * @returns whole milliseconds; not limited by `maxErrorBackoffMs`
   */
  calculateBackoff(attempt: number): number {
    const jitter = 0.9 + Math.random() * 0.2
    return Math.floor(exponentialDelay(this.times.baseBackoffMs, attempt - 1) * jitter)
  }

  /** The loop. It is never entered from `wake`, which only ends its pause: so it stays in the async context of `start`. */
  private async poll(run: PollingRun, handler: Handler, previous: PollingRun | undefined): Promise<void> {
    if (previous) await previous.ended
    let failedPolls = 0
    while (!run.stopped) {
      run.beginPoll()
      if (await this.pollOnce(handler)) {
        failedPolls = 0
        await run.pause(this.times.pollIntervalMs, { wakeable: true })
      } else {
        failedPolls += 1
        const backoffMs = Math.min(this.calculateBackoff(failedPolls + 1), this.times.maxErrorBackoffMs)
        await run.pause(backoffMs, { wakeable: false })
      }
    }
    if (this.latest.run === run) this.latest.run = undefined
    run.end()
  }

  /**
   * Maintenance and batch. Tells whether the poll succeeded: failed maintenance is reported but does not count, since
   * backing off would hold up the events, which can still be delivered.
   */
  private async pollOnce(handler: Handler): Promise<boolean> {
    try {
      // Without maintenance nothing is awaited: `start` calls processBatch before it returns.
      if (this.config.performMaintenance) await this.config.performMaintenance()
    } catch (error) {
      reportError(this.onError, new MaintenanceError(error))
    }
    try {
      await this.config.processBatch(handler)
      return true
    } catch (cause) {
      const error =
        cause instanceof OutboxError ? cause : new OperationalError("Polling cycle failed", { cause })
      reportError(this.onError, error)
      return false
    }
  }
}
