/** How many handlers may still start: what a stop, or a drain, leaves to a relay. */
import { ValidationError } from "outbox-event-bus"
import { MAX_DELAY_MS } from "../process/background-timer.ts"
import { described } from "../process/shown.ts"
import type { HandlerDurations } from "./handler-durations.ts"

export interface StartLimit {
  /** How many handlers may start now. */
  readonly room: number
  /** The poll under this limit is the last one, so it goes on for as long as there is room. */
  readonly isLastPoll: boolean
  started(): void
}

/**
 * What a stop leaves to a first poll that has not handed over anything yet: one page of events, and not for long. So a
 * scheduled job that starts and stops at once makes progress with each call.
 */
export class LastPage implements StartLimit {
  readonly isLastPoll = true
  private readonly until: number

  /**
   * @param left - How many handlers may still start.
   * @param forMs - For how long they may start, in milliseconds.
   */
  constructor(
    private left: number,
    forMs: number,
  ) {
    this.until = performance.now() + forMs
  }

  get room(): number {
    return performance.now() < this.until ? this.left : 0
  }

  started(): void {
    this.left--
  }
}

/** Until when to deliver: a time, or a function that returns the milliseconds that are left. */
export type Deadline = Date | (() => number)

/** What is left before a deadline to write what became of the events, and to release what has not started. */
const SETTLING_MS = 500

/** How long a delivery may go on. */
export interface DeliveryBounds {
  /** Ends it: no more handlers start, those that run are waited for, and what has not started is released. */
  signal?: AbortSignal | undefined
  /**
   * When it has to have ended; for Lambda `() => context.getRemainingTimeInMillis()`.
   * @default none
   */
  deadline?: Deadline | undefined
  /**
   * How many handlers may start. Whole number of at least 1, or Infinity.
   * @default Infinity
   */
  maxEvents?: number | undefined
}

/** How long a drain may go on, and which events it delivers. */
export interface DrainBounds extends DeliveryBounds {
  /**
   * Only events that have been due for so long are delivered: a sweeper beside a stream leaves it the new ones, and ends although
   * events keep coming. Milliseconds, from 0 to 2147483647 (24.8 days).
   * @default 0
   */
  dueForMs?: number | undefined
}

/** The limit of a drain: it starts no handler that is unlikely to end before the deadline. */
export class DrainLimit implements StartLimit {
  readonly isLastPoll = false
  /** For how long an event has to have been due. */
  readonly dueForMs: number
  private count = 0
  private isAborted = false
  private running = 0
  private hasEnded = false
  private readonly signal: AbortSignal | undefined
  private readonly deadline: Deadline | undefined
  private readonly maxEvents: number

  /**
   * @param durations - How long handlers take.
   * @throws {ValidationError} for a bound that is not allowed.
   */
  constructor(
    { signal, deadline, maxEvents = Number.POSITIVE_INFINITY, dueForMs = 0 }: DrainBounds,
    private readonly durations: HandlerDurations,
  ) {
    const isCount = maxEvents === Number.POSITIVE_INFINITY || Number.isInteger(maxEvents)
    if (!isCount || maxEvents < 1) refuse("maxEvents", maxEvents, "a whole number of at least 1, or Infinity")
    if (signal !== undefined && typeof signal?.addEventListener !== "function") {
      refuse("signal", signal, "an AbortSignal")
    }
    if (typeof dueForMs !== "number" || !(dueForMs >= 0 && dueForMs <= MAX_DELAY_MS)) {
      refuse("dueForMs", dueForMs, `a number of milliseconds from 0 to ${MAX_DELAY_MS}`)
    }
    this.dueForMs = dueForMs
    this.signal = signal
    this.deadline = deadline
    this.maxEvents = maxEvents
    if (Number.isNaN(this.askDeadline())) {
      refuse("deadline", deadline, "a valid Date, or a function that returns the milliseconds left")
    }
  }

  /**
   * @param callback - Called when the signal fires.
   * @returns to be called when nobody needs to know any more.
   */
  onAbort(callback: () => void): () => void {
    this.signal?.addEventListener("abort", callback)
    return () => this.signal?.removeEventListener("abort", callback)
  }

  /** How many handlers have been started. */
  get startedCount(): number {
    return this.count
  }

  /** Until the deadline, in milliseconds; none where it does not tell any more. */
  get leftMs(): number {
    try {
      return this.askDeadline() || 0
    } catch {
      return 0
    }
  }

  /** @returns NaN for what is no deadline. */
  private askDeadline(): number {
    if (this.deadline === undefined) return Number.POSITIVE_INFINITY
    if (typeof this.deadline === "function") return Number(this.deadline())
    return this.deadline instanceof Date ? this.deadline.getTime() - Date.now() : Number.NaN
  }

  /** Until handlers have to have ended, in milliseconds. */
  get leftToHandleMs(): number {
    return this.leftMs - SETTLING_MS
  }

  /** Until no handler may start any more, in milliseconds. */
  get leftToStartMs(): number {
    return this.leftToHandleMs - this.durations.longest
  }

  /** Why nothing may start any more, if that is so. */
  get isReached(): "aborted" | "limit" | "deadline" | undefined {
    if (this.isAborted || this.signal?.aborted) return "aborted"
    if (this.count >= this.maxEvents) return "limit"
    return this.leftToStartMs <= 0 ? "deadline" : undefined
  }

  get room(): number {
    return this.isReached ? 0 : this.maxEvents - this.count
  }

  started(): void {
    this.count++
  }

  /** How many of them still run. */
  get runningCount(): number {
    return this.running
  }

  /** @returns a handler whose durations are noted. */
  timed<Event>(handler: (event: Event) => Promise<void>): (event: Event) => Promise<void> {
    return async (event) => {
      const startedAt = performance.now()
      this.running++
      try {
        await handler(event)
      } finally {
        this.running--
        // Of one that outlasts its drain, nothing is known: the process may have been suspended since.
        if (!this.hasEnded) this.durations.add(performance.now() - startedAt)
      }
    }
  }

  /** The drain has ended, whatever still runs. */
  end(): void {
    this.hasEnded = true
  }

  /** As the signal does. */
  abort(): void {
    this.isAborted = true
  }
}

function refuse(name: string, value: unknown, allowed: string): never {
  throw new ValidationError(`Invalid ${name}: ${described(value)}. Allowed: ${allowed}.`)
}
