/** Lists of event ids, as callers pass them. */
import { ValidationError } from "outbox-event-bus"

/**
 * @param method - Who takes them, for the message.
 * @throws {ValidationError} when `eventIds` is not an array of non-empty strings.
 */
export function assertEventIds(method: string, eventIds: readonly string[]): void {
  if (Array.isArray(eventIds) && eventIds.every((id) => typeof id === "string" && id !== "")) return
  throw new ValidationError(`${method} takes an array of event ids; allowed: non-empty strings.`, {
    eventIds,
  })
}
