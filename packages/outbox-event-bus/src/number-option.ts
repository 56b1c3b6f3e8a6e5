// Refuses a number that an option does not allow, by the option's name.

import { ConfigurationError } from "./errors.ts"

/** `setTimeout` fires at once for anything above: 2^31 - 1 milliseconds, almost 25 days. */
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
 * Returns `value` if it is an integer of at least `minimum`.
 *
 * @throws {@link ConfigurationError} otherwise; it names the option, the value and what is allowed
 */
export function checkInteger(option: string, value: number, minimum: number): number {
  if (Number.isSafeInteger(value) && value >= minimum) return value
  return refuse(option, value, `an integer of at least ${minimum}`)
}

/**
 * Returns `value` if it is a number of milliseconds that a timer can wait.
 *
 * @throws {@link ConfigurationError} otherwise; it names the option, the value and what is allowed
 */
export function checkMilliseconds(option: string, value: number): number {
  if (typeof value === "number" && value >= 0 && value <= MAX_TIMER_MS) return value
  return refuse(option, value, `milliseconds from 0 to ${MAX_TIMER_MS}`)
}
