// A promise that someone else settles, or else a timer, with work to do when either has happened.

import { callGuarded } from "./guarded-call.ts"
import { checkMilliseconds, timerDelay } from "./number-option.ts"

/** What {@link createTimedPromise} returns. */
export type TimedPromise<T> = {
  /**
   * Fulfils the promise, or lets it follow another one, whose outcome it then takes. Without effect once it is settled or
   * follows another.
   */
  resolve: (value: T | PromiseLike<T>) => void
  /** Rejects the promise; without effect once it is settled. */
  reject: (error?: unknown) => void
  /**
   * Adds work to do when the promise is settled, in whatever way; at once if it is settled already. Each runs once, in the
   * order added, and all run even if one throws. The first that throws rejects a promise that would have been fulfilled;
   * other failures of cleanups become process warnings.
   */
  addCleanup: (cleanup: () => void) => void
  /** Starts the timer, unless the promise is settled, and returns the promise. A second call returns it again. */
  start: () => Promise<T>
}

type Outcome<T> = { readonly value: T | PromiseLike<T> } | { readonly error: unknown }

/**
 * Creates a promise that is settled from outside or, `timeoutMs` after `start()`, rejected.
 *
 * @param timeoutMs - how long to wait, in milliseconds, from 0; more than timers support (almost 25 days) is cut to that
 * @param onTimeoutError - makes the error to reject with when the timeout expires
 * @throws {@link ConfigurationError} if `timeoutMs` is not a number of milliseconds
 * @example
 * ```ts
 * const answer = createTimedPromise<string>(1000, () => new TimeoutError("the answer", 1000))
 * const onMessage = (text: string) => answer.resolve(text)
 * socket.on("message", onMessage)
 * answer.addCleanup(() => socket.off("message", onMessage))
 * const text = await answer.start()
 * ```
 */
export function createTimedPromise<T>(timeoutMs: number, onTimeoutError: () => unknown): TimedPromise<T> {
  checkMilliseconds("timeoutMs", timeoutMs)
  const cleanups: (() => void)[] = []
  let settled = false
  let started = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let fulfil!: (value: T | PromiseLike<T>) => void
  let refuse!: (error: unknown) => void
  const promise = new Promise<T>((resolve, reject) => {
    fulfil = resolve
    refuse = reject
  })

  const guard = (work: () => unknown) => callGuarded("the cleanup of a timed promise", work)
  const settle = (intended: Outcome<T>) => {
    if (settled) return
    settled = true
    clearTimeout(timer)
    // Nobody has the promise before start(), so nobody can have failed to handle its rejection.
    if (!started) promise.catch(() => {})
    let outcome = intended
    for (const cleanup of cleanups) {
      guard(() => {
        try {
          return cleanup()
        } catch (error) {
          // Keep the first error; it is usually the root cause.
          if ("error" in outcome) throw error
          outcome = { error }
        }
      })
    }
    if ("error" in outcome) refuse(outcome.error)
    else fulfil(outcome.value)
  }

  return {
    resolve: (value) => settle({ value }),
    reject: (error) => settle({ error }),
    addCleanup: (cleanup) => {
      if (settled) guard(cleanup)
      else cleanups.push(cleanup)
    },
    start: () => {
      if (!settled && !started) {
        timer = setTimeout(() => {
          try {
            settle({ error: onTimeoutError() })
          } catch (error) {
            settle({ error })
          }
        }, timerDelay(timeoutMs))
      }
      started = true
      return promise
    },
  }
}
