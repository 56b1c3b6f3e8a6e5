/** Timers that keep no process alive. */

/** Longest delay that Node timers support; also the longest backoff between two attempts (24.8 days). */
export const MAX_DELAY_MS = 2 ** 31 - 1

/**
 * Lets the process end although the timer is pending. Where timers are numbers (jsdom, edge runtimes) there is no process to keep alive,
 * and nothing happens.
 * @param timer - What `setTimeout` or `setInterval` has returned.
 * @returns the timer
 */
export function unref<Timer>(timer: Timer): Timer {
  ;(timer as { unref?: () => void }).unref?.()
  return timer
}
