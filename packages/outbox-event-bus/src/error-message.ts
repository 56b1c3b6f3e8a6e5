// The text of anything that can be thrown.

/**
 * The message of an `Error`, and `String(thrown)` of anything else.
 *
 * @param thrown - what was thrown or rejected with
 */
export function formatErrorMessage(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message
  try {
    return String(thrown)
  } catch {
    // An object without toString, such as Object.create(null): no reason to fail while reporting a failure.
    return Object.prototype.toString.call(thrown)
  }
}
