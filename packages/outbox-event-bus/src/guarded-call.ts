// Calls a function of the user whose failure must change nothing but a process warning.

import { formatErrorMessage } from "./error-message.ts"

/**
 * Calls `callback`. If it throws, or returns a promise that rejects, a process warning says so; nothing else happens.
 *
 * @param what - names the callback in the warning
 * @param callback - the function to call
 */
export function callGuarded(what: string, callback: () => unknown): void {
  const warn = (thrown: unknown) =>
    process.emitWarning(`A failure was ignored in ${what}`, {
      type: "OutboxEventBusWarning",
      detail: thrown instanceof Error ? (thrown.stack ?? thrown.message) : formatErrorMessage(thrown),
    })
  try {
    const result = callback()
    // An async function is a legal value where a function to void is asked for.
    if (result instanceof Promise) result.catch(warn)
  } catch (thrown) {
    warn(thrown)
  }
}
