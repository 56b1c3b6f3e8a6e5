// Numbers that users configure: which are allowed, and what timers make of them.

import { ConfigurationError } from "./errors.ts"

/** The longest delay that Node timers support, almost 25 days. For anything longer, `setTimeout` fires at once. */
const MAX_TIMER_MS = 2_147_483_647

function refuse(option: string, value: unknown, allowed: string): never {
  const shown = typeof value === "string" ? JSON.stringify(value) : String(value)
  throw new ConfigurationError(`Invalid ${option}: ${shown}. Allowed: ${allowed}.`, {
    option,
    value,
    allowed,
  })
}

/**
 * Returns `value` if it is an integer of at least `minimum`, or `Infinity`: no limit.
 *
 * @throws {@link ConfigurationError} otherwise; it names the option, the value and what is allowed
 */
export function checkInteger(option: string, value: number, minimum: number): number {
  if ((Number.isSafeInteger(value) || value === Infinity) && value >= minimum) return value
  return refuse(option, value, `an integer of at least ${minimum}, or Infinity`)
}

/**
 * Returns `value` if it is a number of milliseconds, however long; see {@link timerDelay}.
 *
 * @throws {@link ConfigurationError} otherwise; it names the option, the value and what is allowed
 */
export function checkMilliseconds(option: string, value: number): number {
  if (typeof value === "number" && value >= 0) return value
  return refuse(option, value, "milliseconds, at least 0")
}

/** A delay as `setTimeout` can take it: what is longer than timers support becomes the longest they do. */
export function timerDelay(delayMs: number): number {
  return Math.min(delayMs, MAX_TIMER_MS)
}

/** `baseMs · 2^doublings`. Stays a number for any count of failures, where `0 * Infinity` would be NaN. */
export function exponentialDelay(baseMs: number, doublings: number): number {
  return baseMs === 0 ? 0 : baseMs * 2 ** doublings
}
