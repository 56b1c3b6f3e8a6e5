// One batch, from its first attempt until each of its events has an outcome. Only what failed is retried.

import { ConfigurationError, OperationalError } from "./errors.ts"
import type { BusEvent } from "./event.ts"
import type { BufferedEvent } from "./event-buffer.ts"
import { exponentialDelay, timerDelay } from "./number-option.ts"
import type { BatchHandler, RetryOptions } from "./publisher.ts"

type Outcome = Awaited<ReturnType<BatchHandler>>
type Failure = { readonly failed: BufferedEvent; readonly error: unknown }

/** Hands a batch to its handler, with retries, and settles each of its events. Never rejects. */
export async function settleBatch(
  batch: readonly BufferedEvent[],
  handler: BatchHandler,
  { maxAttempts, initialDelayMs, maxDelayMs }: Required<RetryOptions>,
): Promise<void> {
  let remaining = batch
  try {
    for (let attempt = 1; remaining.length > 0; attempt += 1) {
      if (attempt > 1) {
        const delayMs = Math.min(exponentialDelay(initialDelayMs, attempt - 2), maxDelayMs)
        await new Promise((resolve) => setTimeout(resolve, timerDelay(delayMs)))
      }
      const failures = await attemptBatch(remaining, handler)
      if (attempt >= maxAttempts) {
        for (const { failed, error } of failures) failed.reject(error)
        return
      }
      remaining = failures.map(({ failed }) => failed)
    }
  } catch (error) {
    // The handler's report makes no sense, so nobody knows which events have been handled. A retry would only repeat it.
    for (const { reject } of remaining) reject(error)
  }
}

/**
 * Resolves the events that have been handled, and returns the others.
 *
 * @throws ConfigurationError for a report that makes no sense; then no event has been settled
 */
async function attemptBatch(batch: readonly BufferedEvent[], handler: BatchHandler): Promise<Failure[]> {
  const events = batch.map(({ event }) => event)
  let outcome: Outcome
  try {
    outcome = await handler(events)
  } catch (error) {
    return batch.map((failed) => ({ failed, error }))
  }
  const errors = reportedErrors(outcome, events)
  for (const { event, resolve } of batch) if (!errors.has(event.id)) resolve()
  return batch
    .filter(({ event }) => errors.has(event.id))
    .map((failed) => ({ failed, error: errors.get(failed.event.id) }))
}

/** The errors by the ids of their events. */
function reportedErrors(outcome: Outcome, events: readonly BusEvent[]): Map<string, unknown> {
  const failed: unknown = outcome?.failed ?? []
  if (!Array.isArray(failed)) {
    throw new ConfigurationError(
      `A batch handler returned \`failed\` as ${typeof failed}. Allowed: an array of { id, error }.`,
    )
  }
  const eventTypes = new Map(events.map(({ id, type }) => [id, type]))
  const errors = new Map<string, unknown>()
  for (const entry of failed) {
    const { id, error } = entry ?? {}
    const eventType = eventTypes.get(id)
    if (eventType === undefined) {
      throw new ConfigurationError(
        `A batch handler returned ${JSON.stringify(id) ?? "undefined"} as the id of a failed event. Allowed: the ids of the ${events.length} events that it was given.`,
        { failedId: id },
      )
    }
    const unexplained = () =>
      new OperationalError(
        `The batch handler returned event ${JSON.stringify(id)} as failed, without an error`,
        {
          eventId: id,
          eventType,
        },
      )
    errors.set(id, error ?? unexplained())
  }
  return errors
}
