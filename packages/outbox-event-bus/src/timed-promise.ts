// A promise that someone else settles, or else a timer, with work to do when either has happened.

import { callGuarded } from "./guarded-call.ts"
import { checkMilliseconds } from "./number-option.ts"

/** What {@link createTimedPromise} returns. */
export type TimedPromise<T> = {
  /** Fulfils the promise; without effect once it is settled. */
  resolve: (value: T) => void
  /** Rejects the promise; without effect once it is settled. */
  reject: (error: unknown) => void
  /**
   * Adds work to do when the promise is settled, in whatever way; at once if it is settled already. Each runs once, in the
   * order added. One that throws keeps none of the others from running; it becomes a process warning.
   */
  addCleanup: (cleanup: () => void) => void
  /** Begins the timer, unless the promise is settled, and returns the promise. A second call returns it again. */
  start: () => Promise<T>
}

/**
 * Creates a promise that is settled from outside or, `timeoutMs` after `start()`, rejected.
 *
 * @param timeoutMs - how long to wait, in milliseconds, from 0
 * @param onTimeoutError - makes the error to reject with when the time is over
 * @throws {@link ConfigurationError} where `timeoutMs` is nothing a timer can wait
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
  let fulfil!: (value: T) => void
  let refuse!: (error: unknown) => void
  const promise = new Promise<T>((resolve, reject) => {
    fulfil = resolve
    refuse = reject
  })

  const runCleanup = (cleanup: () => void) => callGuarded("the cleanup of a timed promise", cleanup)
  const settle = (how: () => void) => {
    // A second settlement finds the promise deaf, the timer cleared and the cleanups gone.
    settled = true
    clearTimeout(timer)
    how()
    for (const cleanup of cleanups.splice(0)) runCleanup(cleanup)
  }
  const reject = (error: unknown) =>
    settle(() => {
      refuse(error)
      // Nobody has the promise before start(), so nobody can have failed to handle its rejection.
      if (!started) promise.catch(() => {})
    })

  return {
    resolve: (value) => settle(() => fulfil(value)),
    reject,
    addCleanup: (cleanup) => {
      if (settled) runCleanup(cleanup)
      else cleanups.push(cleanup)
    },
    start: () => {
      if (!settled && !started) {
        timer = setTimeout(() => {
          try {
            reject(onTimeoutError())
          } catch (error) {
            reject(error)
          }
        }, timeoutMs)
      }
      started = true
      return promise
    },
  }
}
