/**
 * How long the relay's requests may take. No response is waited for without end: a request that is given up is
 * aborted, so it frees its socket and the SDK does not send it again. One bound holds for all that a stop still does.
 */
import { TimeoutError } from "outbox-event-bus"
import { unref } from "../process/background-timer.ts"

/**
 * Far longer than a response takes, the SDK's retries included. Over a connection that hangs none ever comes, and a lease of
 * the usual length must leave time to retry: else one such connection costs a second delivery.
 */
const RESPONSE_MS = 10_000
/** While stopping: half of the bound, so that what was given up on can still be undone. */
const STOPPING_RESPONSE_MS = 5000
/** All that may happen after `stop()`, or after the last handler has ended. README promises ten seconds. */
const STOP_MS = 9500
/** A timer that fires later than this says that the process could not listen: the response may have arrived. */
const LATE_MS = 2
/** How much longer to listen then, at most. */
const GRACE_MS = 1000

/** What `send` is given besides the command, by the relay's own requests. */
export interface SendOptions {
  abortSignal: AbortSignal
}

export class RequestDeadline {
  /** When everything must have ended, on the clock of `performance`; undefined while running. */
  private stopsAt: number | undefined
  private readonly pending = new Set<PendingRequest>()

  /** @param leaseMs - Once a lease has expired, retrying its write is pointless. */
  constructor(private readonly leaseMs: number) {}

  /** From now on, cap every wait, that of the requests under way included. */
  stop(): void {
    if (this.stopsAt !== undefined) return
    this.stopsAt = performance.now() + STOP_MS
    for (const request of this.pending) request.endWithin(STOPPING_RESPONSE_MS)
  }

  /** A handler has ended while stopping: its result has the whole bound to be written in. */
  handlerEnded(): void {
    if (this.stopsAt !== undefined) this.stopsAt = performance.now() + STOP_MS
  }

  /** Undoes {@link stop}. */
  restart(): void {
    this.stopsAt = undefined
  }

  /** How many milliseconds are left to retry a write that was first sent at `since`, on the clock of `performance`. */
  leftToRetry(since: number): number {
    return Math.min(since + this.leaseMs, this.stopsAt ?? Number.POSITIVE_INFINITY) - performance.now()
  }

  /**
   * Sends a request and waits for its response, within the limit.
   *
   * @param send - Is given a signal that aborts the request; may ignore it.
   * @param limitMs - Milliseconds; at most ten seconds, the default, and less while stopping.
   * @throws {TimeoutError} if no response came in time. The request may be carried out all the same.
   */
  async within<T>(send: (options: SendOptions) => Promise<T>, limitMs = RESPONSE_MS): Promise<T> {
    const request = new PendingRequest(Math.min(limitMs, this.limitMs()))
    this.pending.add(request)
    try {
      return await Promise.race([send({ abortSignal: request.abortSignal }), request.givenUp])
    } finally {
      request.end()
      this.pending.delete(request)
    }
  }

  private limitMs(): number {
    if (this.stopsAt === undefined) return RESPONSE_MS
    return Math.max(0, Math.min(STOPPING_RESPONSE_MS, this.stopsAt - performance.now()))
  }
}

/** A request that has no response yet. */
class PendingRequest {
  readonly givenUp: Promise<never>
  private readonly controller = new AbortController()
  private readonly startedAt = performance.now()
  private reject: (error: TimeoutError) => void = () => {}
  private timer: NodeJS.Timeout | undefined
  private endsAt = Number.POSITIVE_INFINITY
  private hasEnded = false

  constructor(limitMs: number) {
    this.givenUp = new Promise((_, reject) => {
      this.reject = reject
    })
    this.endWithin(limitMs)
  }

  get abortSignal(): AbortSignal {
    return this.controller.signal
  }

  endWithin(ms: number): void {
    const endsAt = performance.now() + ms
    if (endsAt >= this.endsAt) return
    this.endsAt = endsAt
    this.expireIn(ms)
  }

  end(): void {
    this.hasEnded = true
    clearTimeout(this.timer)
  }

  private expireIn(ms: number): void {
    clearTimeout(this.timer)
    this.timer = unref(setTimeout(() => this.expire(), ms))
  }

  private expire(): void {
    const lateMs = performance.now() - this.endsAt
    if (lateMs < LATE_MS) this.giveUp()
    // A handler has blocked the process, or it was suspended: what has arrived meanwhile is read after the timers.
    else this.timer = unref(setTimeout(() => afterInput(() => this.giveUp()), Math.min(lateMs, GRACE_MS)))
  }

  private giveUp(): void {
    if (this.hasEnded) return
    const waitedMs = Math.round(performance.now() - this.startedAt)
    this.reject(new TimeoutError("a response from DynamoDB", waitedMs))
    this.controller.abort()
  }
}

/** Some environments, such as jsdom, have no `setImmediate`. */
function afterInput(callback: () => void): void {
  const { setImmediate: set = setTimeout } = globalThis as {
    setImmediate?: (callback: () => void) => unknown
  }
  set(callback)
}
