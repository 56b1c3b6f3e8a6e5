// Calls a function of the user whose failure must change nothing but a process warning.

import { formatErrorMessage, isError } from "./error-message.ts"

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
      detail: stackOf(thrown),
    })
  try {
    const result = callback()
    // An async function is a legal value where a function to void is asked for.
    Promise.resolve(result).catch(warn)
  } catch (thrown) {
    warn(thrown)
  }
}

function stackOf(thrown: unknown): string {
  try {
    if (isError(thrown) && typeof thrown.stack === "string") return thrown.stack
  } catch {
    // Its getter throws.
  }
  return formatErrorMessage(thrown)
}
