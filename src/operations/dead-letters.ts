/** The dead letters, for operators: listing them, and setting them back. */
import { EventStatus, type FailedBusEvent, OperationalError } from "outbox-event-bus"
import { forEachBounded } from "../database/bounded.ts"
import type { Requests } from "../database/requests.ts"
import { assertEventIds } from "../item/event-ids.ts"
import { type Item, isEventItem, toFailedEvent } from "../item/event-item.ts"
import { listed } from "../process/shown.ts"
import { retry } from "../state/operator-transitions.ts"
import { failedEvents, type Row, type StatusIndex } from "../state/status-index.ts"

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

  const events = new Map<Row, FailedBusEvent>()
  const errors = await forEachBounded(rows, REQUESTS_AT_ONCE, async (row) => {
    if (isWhole(row)) {
      // A mocked client's row need not have all attributes.
      if (isEventItem(row) || !("gsiSortKey" in row)) events.set(row, toFailedEvent(row))
      return
    }
    // The item may have been deleted or set back since. Where the row shows more than its keys, one that is not found
    // is shown as the row has it: that is all a mocked client tells.
    const stored = await requests.get(index.tableName, row.id)
    if (stored && !isEventItem(stored)) return
    const item = stored ?? ("payload" in row ? row : undefined)
    if (item?.status === EventStatus.FAILED) events.set(row, toFailedEvent(item))
  })
  if (errors.length > 0) throw errors[0]
  return rows.flatMap((row) => events.get(row) ?? [])
}

/**
 * Whether a row shows all of its item, which only an index that projects all attributes tells: nobody includes the claim's
 * token, which is left on every dead letter that is in the index. A row without the index's keys is a mocked client's.
 */
function isWhole(row: Row): boolean {
  return "claimToken" in row || ("payload" in row && !("status" in row && "gsiSortKey" in row))
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
  assertEventIds("retryEvents", eventIds)
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
  throw new OperationalError(`Could not retry the events ${listed(failedIds)}`, {
    cause: errors[0],
    eventIds: failedIds,
  })
}
