// The text of anything that can be thrown.

/**
 * The message of an `Error`, and `String(thrown)` of anything else.
 *
 * @param thrown - what was thrown or rejected with
 */
export function formatErrorMessage(thrown: unknown): string {
  const text: unknown = thrown instanceof Error ? thrown.message : thrown
  try {
    // Also of a message: nothing keeps one from being something else than a string.
    return String(text)
  } catch {
    // An object without toString, such as Object.create(null): no reason to fail while reporting a failure.
    return Object.prototype.toString.call(text)
  }
}
