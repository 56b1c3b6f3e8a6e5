/** The dead letters, for operators: listing them, and setting them back. */
import { EventStatus, type FailedBusEvent, OperationalError, ValidationError } from "outbox-event-bus"
import { forEachBounded } from "./bounded.ts"
import { type Item, toFailedEvent } from "./event-item.ts"
import type { Requests } from "./requests.ts"
import { failedEvents, type Row, type StatusIndex } from "./status-index.ts"
import { retry } from "./transitions.ts"

const MAX_LISTED = 100
const REQUESTS_AT_ONCE = 10

/** Up to 100 dead letters, the newest occurrence first. */
export async function listDeadLetters(requests: Requests, index: StatusIndex): Promise<FailedBusEvent[]> {
  const rows: Row[] = []
  let startAfter: Item | undefined
  do {
    const page = await requests.query(failedEvents(index, { limit: MAX_LISTED - rows.length, startAfter }))
    rows.push(...page.rows)
    startAfter = page.next
  } while (startAfter && rows.length < MAX_LISTED)

  const listed = new Map<Row, FailedBusEvent>()
  const errors = await forEachBounded(rows, REQUESTS_AT_ONCE, async (row) => {
    // An index need not carry more than the keys, and the item may have been deleted or set back since.
    const item = "payload" in row ? row : await requests.get(index.tableName, row.id)
    if (item === row || item?.status === EventStatus.FAILED) listed.set(row, toFailedEvent(item))
  })
  if (errors.length > 0) throw errors[0]
  return rows.flatMap((row) => listed.get(row) ?? [])
}

/**
 * Sets dead letters back: due now, with all attempts before them. Other ids are left alone.
 * @throws {ValidationError} when `eventIds` is not an array of non-empty strings.
 * @throws {OperationalError} that names the ids for which the request failed.
 */
export async function retryDeadLetters(
  requests: Requests,
  tableName: string,
  eventIds: string[],
): Promise<void> {
  if (!Array.isArray(eventIds) || eventIds.some((id) => typeof id !== "string" || id === "")) {
    throw new ValidationError("retryEvents takes an array of event ids; allowed: non-empty strings.", {
      eventIds,
    })
  }
  const failedIds: string[] = []
  const errors = await forEachBounded([...new Set(eventIds)], REQUESTS_AT_ONCE, async (id) => {
    try {
      await requests.write(retry(tableName, id, Date.now()))
    } catch (error) {
      failedIds.push(id)
      throw error
    }
  })
  if (errors.length === 0) return
  throw new OperationalError(`Could not retry the events ${failedIds.join(", ")}`, {
    cause: errors[0],
    eventIds: failedIds,
  })
}
