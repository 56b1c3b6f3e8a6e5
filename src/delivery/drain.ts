/**
 * A delivery that ends by itself: when nothing is due any more, or its time is up. It works as a worker of its own, so
 * any number of them can run at once.
 */
import {
  type BusEvent,
  type ErrorHandler,
  MaintenanceError,
  OperationalError,
  OutboxError,
} from "outbox-event-bus"
import type { ResolvedConfig } from "../config.ts"
import { MAX_DELAY_MS } from "../process/background-timer.ts"
import { Diagnostics } from "../process/diagnostics.ts"
import { errorText } from "../process/error-text.ts"
import { quoted } from "../process/shown.ts"
import type { Row } from "../state/status-index.ts"
import type { EventOperations, StuckEvents } from "./event-operations.ts"
import type { HandlerDurations } from "./handler-durations.ts"
import { LOOK_AGAIN_MS, pollUntil } from "./poll.ts"
import { Recovery } from "./recovery.ts"
import { Relay } from "./relay.ts"
import { GivenRows } from "./row-source.ts"
import type { DrainLimit } from "./start-limit.ts"
import { Tally } from "./tally.ts"

/** What a drain has done. */
export interface DrainResult {
  /** Events whose handler has succeeded. */
  delivered: number
  /** Events whose handler has failed, or whose worker had died: they are due again after their backoff. */
  retried: number
  /** Events that have become dead letters. */
  deadLettered: number
  /** Events that were set back without counting an attempt. */
  released: number
  /** Why it has ended: nothing was due any more, or one of the bounds was reached. */
  reason: "empty" | "deadline" | "limit" | "aborted"
}

/** So long before the deadline, a drain resolves whatever still runs. */
const RETURN_BEFORE_MS = 100
/** So many looks in a row that find only what others are about to take. */
const LOOKS_IN_VAIN = 3

type Handler = (event: BusEvent) => Promise<void>

export class Drain {
  private readonly tally = new Tally()
  private readonly relay: Relay
  private readonly recovery: Recovery | undefined
  private readonly given: Row[] | undefined
  private readonly explained: (error: unknown) => Promise<unknown>
  private reason: DrainResult["reason"] | undefined
  /** Resolves when everything has ended, what outlasts the deadline included. */
  settled: Promise<void> = Promise.resolve()
  /** The index was asked for. */
  private hasTried = false
  private timer: NodeJS.Timeout | undefined
  private runOutOfTime: () => void = () => {}

  /**
   * @param operations - Those of the outbox.
   * @param claimsUndone - Resolves when claims of unknown outcome are undone, as far as they can be.
   * @param given - The rows to deliver; default: all that are due.
   */
  constructor(
    operations: EventOperations & StuckEvents,
    private readonly config: ResolvedConfig,
    private readonly claimsUndone: () => Promise<void>,
    private readonly limit: DrainLimit,
    private readonly durations: HandlerDurations,
    given?: readonly Row[],
  ) {
    const diagnostics = new Diagnostics(config.tableName)
    const watched = this.tally.watch(operations, limit.dueForMs)
    this.explained = (error) => operations.explained(error)
    this.given = given && [...given]
    const rows = this.given && new GivenRows(this.given)
    this.relay = new Relay(watched, config, () => {}, diagnostics, rows)
    this.relay.limitTo(limit)
    const { processingTimeoutMs, batchSize } = config
    if (!given) {
      this.recovery = new Recovery(
        watched,
        { intervalMs: processingTimeoutMs / 2, batchSize },
        (id) => this.relay.holds(id),
        diagnostics,
      )
    }
  }

  /**
   * @param report - Told of what goes wrong beside the handlers.
   * @returns at the deadline at the latest, whatever still runs.
   * @throws {OperationalError} when the table could not be read; `context.result` says what was done before.
   */
  async run(handler: Handler, report: ErrorHandler): Promise<DrainResult> {
    const isOutOfTime = new Promise<void>((resolve) => {
      this.runOutOfTime = resolve
    })
    const unsubscribe = this.limit.onAbort(() => this.hurry())
    if (this.limit.leftToHandleMs < MAX_DELAY_MS) this.relay.announceStop(this.limit.leftToHandleMs)
    this.watchTime()
    const work = this.work(this.limit.timed(handler), report)
    // Where handlers still run at the deadline, it goes on: what they come to is written when the process gets to it.
    this.settled = work.catch(() => {})
    try {
      await Promise.race([work, isOutOfTime])
    } catch (error) {
      if (!this.given) throw this.failure(error)
      report(this.failure(error))
      // They were not even tried.
      for (const { id } of this.given) this.tally.unclaimed.add(id)
    } finally {
      unsubscribe()
      clearTimeout(this.timer)
      this.limit.end()
    }
    const result = this.result
    if (this.hasTried && !this.tally.hasLooked && result.reason === "deadline") {
      throw this.failure(new OperationalError("No response came before the deadline"))
    }
    const { runningCount } = this.limit
    if (runningCount > 0) {
      const text = `The drain has ended at its deadline while ${runningCount} handlers were still running: their events count as abandoned unless they end in time`
      report(new OperationalError(text, { result, running: runningCount }))
    }
    if (result.reason === "deadline" && this.limit.startedCount === 0) this.durations.forget()
    return result
  }

  /** Starts no more handlers, releases what has not started, and resolves when everything has ended. */
  async stop(): Promise<void> {
    this.limit.abort()
    this.hurry()
    await this.settled
  }

  /** The ids of given rows of which it is not known who has them: the requests have failed, or were not sent for that reason. */
  get unclaimed(): ReadonlySet<string> {
    return this.tally.unclaimed
  }

  get runningHandlers(): number {
    return this.limit.runningCount
  }

  get isCalledByHandler(): boolean {
    return this.relay.isCalledByHandler
  }

  private get result(): DrainResult {
    return { ...this.tally.counts, reason: this.reason ?? this.limit.isReached ?? "deadline" }
  }

  private async work(handler: Handler, report: ErrorHandler): Promise<void> {
    try {
      await this.deliver(handler, report)
    } finally {
      this.reason ??= this.limit.isReached ?? "empty"
      this.recovery?.stop()
      await this.relay.stop()
      await this.claimsUndone()
    }
  }

  private async deliver(handler: Handler, report: ErrorHandler): Promise<void> {
    for (let inVain = 0; inVain < LOOKS_IN_VAIN && !this.limit.isReached; ) {
      this.hasTried = !this.given
      await this.recovery?.runIfDue().catch((error) => report(new MaintenanceError(error)))
      const startedBefore = this.limit.startedCount
      const until = this.given ? Number.POSITIVE_INFINITY : pollUntil(this.config.processingTimeoutMs)
      const outcome = await this.relay.handleDue(handler, until).catch(async (error) => {
        throw this.given ? error : await this.explained(error)
      })
      if (outcome === "unfinished") continue
      const hasStarted = this.limit.startedCount > startedBefore
      // Handlers may emit after the last page was read; with concurrency 1, that is read after the last of them.
      const mayHaveMissed = hasStarted && this.config.concurrency > 1 && !this.given
      if (outcome === "done" && !this.relay.isBusy && !mayHaveMissed) return
      // What waits behind a suspect starts after it.
      await this.relay.idle()
      inVain = hasStarted ? 0 : inVain + 1
      if (outcome === "unsure") await pause(LOOK_AGAIN_MS)
    }
  }

  private hurry(): void {
    this.relay.announceStop()
    this.limitChanged()
  }

  private limitChanged(): void {
    if (this.limit.isReached) this.recovery?.stop()
    this.relay.limitChanged()
  }

  /** Looks at the limit when it may have been reached. The timer also keeps the process alive until the drain has ended. */
  private watchTime(): void {
    const { leftToStartMs, leftMs } = this.limit
    if (leftMs <= RETURN_BEFORE_MS) {
      this.runOutOfTime()
      return
    }
    const untilNext = leftToStartMs > 0 ? leftToStartMs : leftMs - RETURN_BEFORE_MS
    this.timer = setTimeout(
      () => {
        this.limitChanged()
        this.watchTime()
      },
      Math.min(Math.ceil(untilNext), MAX_DELAY_MS),
    )
  }

  private failure(cause: unknown): OutboxError {
    const { result } = this
    if (cause instanceof OutboxError && !(cause instanceof OperationalError)) return cause
    const table = `table ${quoted(this.config.tableName)}`
    const message = this.tally.hasLooked
      ? `The drain of ${table} was interrupted`
      : `${this.given ? "Could not deliver: no event can be claimed in" : "Could not drain: can't read"} ${table}`
    return new OperationalError(`${message}: ${errorText(cause)}`, { cause, result })
  }
}

function pause({ least, most }: { least: number; most: number }): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, least + Math.random() * (most - least)))
}
