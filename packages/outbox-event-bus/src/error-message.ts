// The text of anything that can be thrown, and what counts as an error.

import { types } from "node:util"

/**
 * Whether it is an `Error`, also one of another realm, such as that of a test environment or a `vm` context, to which
 * `instanceof` is blind. Never throws.
 *
 * @param thrown - what was thrown or rejected with
 */
export function isError(thrown: unknown): thrown is Error {
  try {
    return types.isNativeError(thrown) || thrown instanceof Error
  } catch {
    // A revoked Proxy is nothing.
    return false
  }
}

/**
 * The message of an `Error`, and `String(thrown)` of anything else. Never throws.
 *
 * @param thrown - what was thrown or rejected with
 */
export function formatErrorMessage(thrown: unknown): string {
  try {
    // Also of a message: nothing keeps one from being something else than a string.
    return String(isError(thrown) ? thrown.message : thrown)
  } catch {
    return describe(thrown)
  }
}

/** Of what can't be written as text: an object without `toString`, a getter that throws, a revoked Proxy. */
function describe(thrown: unknown): string {
  try {
    return Object.prototype.toString.call(thrown)
  } catch {
    return "[unreadable]"
  }
}
