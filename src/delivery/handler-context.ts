/**
 * What a handler can ask about its own run: which attempt it is, and a signal that says when to give up. An
 * AsyncLocalStorage carries it, so handlers are called with the event alone, through any implementation of the core.
 */
import { AsyncLocalStorage } from "node:async_hooks"
import { type BusEvent, OperationalError, TimeoutError } from "outbox-event-bus"
import { MAX_DELAY_MS, unref } from "../process/background-timer.ts"
import { RELEASE } from "../state/attempt.ts"
import type { Claim } from "./event-operations.ts"
import { type LeasedEvent, leftOf } from "./lease-keeper.ts"

/** The run of a handler, as {@link getHandlerContext} shows it. */
export interface HandlerContext {
  /** 1 for the first attempt. Attempts that ended with their worker or exceeded their timeout count, too. */
  readonly attempt: number
  /** The option `maxRetries` (at least 1): the last attempt is the one with `attempt >= maxRetries`. */
  readonly maxRetries: number
  /**
   * Fires when the handler should give up: its claim is lost, its `processingTimeoutMs` has expired, or a `stop()` has
   * been waiting for it for eight seconds. `signal.reason` says which: an `OperationalError` (a `TimeoutError` for the
   * timeout) whose `context.reason` is an {@link AbortReason} and whose `context.eventId` names the event. Nothing
   * interrupts a handler that ignores it.
   */
  readonly signal: AbortSignal
}

/**
 * Why a handler should give up. `claim-lost`: the lease has expired or another worker has taken the event, so the event
 * may be delivered elsewhere at the same time. `timeout`: `processingTimeoutMs` has expired. `stopping`: `stop()` has been called; a
 * handler that rejects with this reason has its event released without counting an attempt.
 */
export type AbortReason = "claim-lost" | "timeout" | "stopping"

/** What the storage carries: empty once the handler has ended, whatever it has left running. */
interface Slot {
  context: HandlerContext | undefined
  /** Whose handler it is. */
  readonly owner: HandlerContexts
}

/** A process may load this package twice, by import and by require: a handler finds its context through either copy. */
const STATE = Symbol.for("@outbox-event-bus/dynamodb-aws-sdk-outbox/handler-context")
const shared = globalThis as { [STATE]?: AsyncLocalStorage<Slot> }
shared[STATE] ??= new AsyncLocalStorage()
const storage = shared[STATE]

/**
 * The context of the handler that the current asynchronous call chain belongs to, across middleware and awaits.
 *
 * A handler of the core's `EventPublisher` gets a batch, which is no single event's: don't ask there.
 *
 * @returns the context, or `undefined` outside a handler and after it has ended.
 * @example
 * ```ts
 * bus.on("order.placed", async (event) => {
 *   const context = getHandlerContext()
 *   await fetch(url, { method: "POST", body: JSON.stringify(event.payload), signal: context?.signal ?? null })
 * })
 * ```
 */
export function getHandlerContext(): HandlerContext | undefined {
  return storage.getStore()?.context
}

/** A stop has ten seconds. Two of them are left to a handler to give up, and to write what became of its event. */
const STOP_MS = 10_000
const GIVE_UP_MS = 2000

interface HandlerContextOptions {
  maxRetries: number
  processingTimeoutMs: number
}

/** Runs the handlers of a relay, each in its context. */
export class HandlerContexts {
  private readonly runs = new Set<HandlerRun>()
  /** When a stop runs out of time, by the clock of `performance`. */
  private stopsAt = Number.POSITIVE_INFINITY
  /** What a handler is left in any case, however late it starts. */
  private leastMs = GIVE_UP_MS

  constructor(private readonly options: HandlerContextOptions) {}

  async run(claim: Claim, held: LeasedEvent, handler: (event: BusEvent) => Promise<void>): Promise<void> {
    // A stop lets handlers of a first page start: each has time to get something done.
    const stopsAt = Math.max(this.stopsAt, performance.now() + this.leastMs)
    const run = new HandlerRun(claim, held, this.options, stopsAt)
    const slot: Slot = { context: run, owner: this }
    held.onLost = () => run.look()
    this.runs.add(run)
    try {
      await storage.run(slot, handler, claim.event)
    } finally {
      slot.context = undefined
      this.runs.delete(run)
      run.end()
    }
  }

  /** Whether the caller is one of these handlers, which is still running. */
  get isCaller(): boolean {
    const slot = storage.getStore()
    return slot?.owner === this && slot.context !== undefined
  }

  /**
   * A stop is near: what still runs when it runs out of time is told.
   *
   * @param inMs - When that is; default: by the time that a `stop()` has.
   */
  stop(inMs?: number): void {
    if (inMs !== undefined) this.leastMs = 0
    this.stopsAt = Math.min(this.stopsAt, performance.now() + (inMs ?? STOP_MS - GIVE_UP_MS))
    for (const run of this.runs) run.stopBy(this.stopsAt)
  }
}

/** One run. Signal and timer exist only where the handler asks for the signal. */
class HandlerRun implements HandlerContext {
  readonly attempt: number
  readonly maxRetries: number
  readonly #claim: Claim
  readonly #held: LeasedEvent
  readonly #timeoutMs: number
  readonly #timesOutAt: number
  #stopsAt: number
  #hasEnded = false
  #controller: AbortController | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(claim: Claim, held: LeasedEvent, options: HandlerContextOptions, stopsAt: number) {
    this.attempt = claim.retryCount + 1
    this.maxRetries = Math.max(1, options.maxRetries)
    this.#claim = claim
    this.#held = held
    this.#timeoutMs = options.processingTimeoutMs
    // Not later than the lease of a running event ends: that would be taken for a loss.
    this.#timesOutAt = (held.startedAt ?? performance.now()) + options.processingTimeoutMs
    this.#stopsAt = stopsAt
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      this.look()
    }
    return this.#controller.signal
  }

  stopBy(time: number): void {
    this.#stopsAt = time
    this.look()
  }

  /** Fires the signal if there is a reason to; else looks again when the next one may have come. */
  look(): void {
    clearTimeout(this.#timer)
    if (!this.#controller || this.#controller.signal.aborted || this.#hasEnded) return
    const reason = this.#reason()
    if (reason) {
      this.#controller.abort(reason)
      return
    }
    const leftMs = Math.min(this.#leaseMs, Math.min(this.#timesOutAt, this.#stopsAt) - performance.now())
    this.#timer = unref(setTimeout(() => this.look(), Math.min(Math.ceil(leftMs), MAX_DELAY_MS)))
  }

  end(): void {
    this.#hasEnded = true
    clearTimeout(this.#timer)
  }

  /** What is left of the lease, in milliseconds. */
  get #leaseMs(): number {
    return leftOf(this.#held)
  }

  #reason(): OperationalError | undefined {
    const eventId = this.#claim.lease.id
    const event = `event ${JSON.stringify(eventId)}`
    const context = (reason: AbortReason) => ({ eventId, reason })
    const now = performance.now()
    if (now >= this.#timesOutAt) {
      return new TimeoutError(`the handler of ${event}`, this.#timeoutMs, context("timeout"))
    }
    if (this.#held.isLost || this.#leaseMs <= 0) {
      const why = this.#held.isLost ? "another worker has taken it" : "the lease has expired"
      return new OperationalError(`Lost the claim on ${event}: ${why}`, context("claim-lost"))
    }
    if (now >= this.#stopsAt) {
      const stopping = new OperationalError(
        `The outbox is stopping: the handler of ${event} should end now`,
        context("stopping"),
      )
      // A handler that rejects with it has not failed: the event is released without counting an attempt.
      return Object.defineProperty(stopping, RELEASE, { value: true })
    }
    return undefined
  }
}
