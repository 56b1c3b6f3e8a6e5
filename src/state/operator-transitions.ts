/** What operators write, each with its condition: they work among relays, and touch nothing that is under way. */
import type { DeleteCommandInput, UpdateCommandInput } from "@aws-sdk/lib-dynamodb"
import { EventStatus } from "outbox-event-bus"
import { remove, update } from "./conditional-write.ts"
import { CONDITIONS, expiry, type Retention } from "./transitions.ts"

/**
 * failed → created, due now. Can't touch work under way, nor create an item for an unknown id. The claim token stays: the late success
 * of a handler that exceeded its timeout still settles the event.
 */
export function retry(tableName: string, id: string, now: number): UpdateCommandInput {
  return update(tableName, id, {
    set: { status: EventStatus.CREATED, retryCount: 0, gsiSortKey: now },
    remove: ["lastError", "nextRetryAt", "startedOn", "crashCount"],
    condition: `${CONDITIONS.failed} AND ${CONDITIONS.anEvent}`,
    values: { failed: EventStatus.FAILED },
  })
}

/** failed → completed, by an operator who gives the event up, and says why. */
export function discard(
  tableName: string,
  id: string,
  reason: string,
  now: number,
  retention: Retention,
): UpdateCommandInput {
  return update(tableName, id, {
    set: {
      status: EventStatus.COMPLETED,
      completedOn: now,
      discardedOn: now,
      discardReason: reason,
      ...expiry(retention, now),
    },
    remove: ["gsiSortKey", "claimToken", "nextRetryAt", "crashCount"],
    condition: `${CONDITIONS.failed} AND ${CONDITIONS.anEvent}`,
    values: { failed: EventStatus.FAILED },
  })
}

/** failed → (nothing). */
export function discardAndDelete(tableName: string, id: string): DeleteCommandInput {
  return remove(tableName, id, `${CONDITIONS.failed} AND ${CONDITIONS.anEvent}`, {
    failed: EventStatus.FAILED,
  })
}

/**
 * failed → failed, in the index: the original removes the sort key of its dead letters, so that nobody finds them.
 *
 * @param gsiSortKey - When the event occurred, epoch milliseconds.
 */
export function restore(tableName: string, id: string, gsiSortKey: number): UpdateCommandInput {
  return update(tableName, id, {
    set: { status: EventStatus.FAILED, gsiSortKey },
    condition: `${CONDITIONS.failed} AND attribute_not_exists(#gsiSortKey) AND ${CONDITIONS.anEvent}`,
    values: { failed: EventStatus.FAILED },
  })
}

/** completed → (nothing), of what was completed before a time. */
export function purge(tableName: string, id: string, completedBefore: number): DeleteCommandInput {
  return remove(tableName, id, "#status = :completed AND #completedOn < :completedBefore", {
    completed: EventStatus.COMPLETED,
    completedBefore,
  })
}
