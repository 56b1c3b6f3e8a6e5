/**
 * Every write that changes the state of an event, as the pure input of a command. Nothing here sends.
 *
 * ```text
 *              publish                claim                     complete
 *  (nothing) ──────────▶ created ──────────────▶ active ───────────────────▶ completed
 *                         ▲  ▲                     │ │ ▲
 *                         │  │  fail, attempts left│ │ └── renew
 *                         │  └─────────────────────┤ │
 *                         │  release, fence        │ │ fail or recover, no attempts left; set aside
 *                         │  recover (lease over)  │ ▼
 *                         └──────────────────── failed
 *                               retryEvents
 * ```
 *
 * What `gsiSortKey` means: in `created` when the event is due, in `active` when the claim's lease ends, in `failed`
 * when the event occurred; `completed` events have none, so the index holds only work.
 *
 * Every arrow is one write with a condition, and the condition is what makes it safe: `CONDITIONS` names them.
 */
import type { DeleteCommandInput, TransactWriteCommandInput, UpdateCommandInput } from "@aws-sdk/lib-dynamodb"
import { EventStatus } from "outbox-event-bus"
import type { EventItem } from "../item/event-item.ts"
import { type Change, remove, update } from "./conditional-write.ts"

/**
 * A worker's lease on one event. `token` is fresh for each claim. A worker of the original adapter that claims the
 * event anew leaves the token on it, so "mine" means my token *and* the lease end that I last wrote.
 */
export interface Lease {
  readonly id: string
  readonly token: string
  /** Epoch milliseconds; renewing moves it. */
  leaseEndsAt: number
  /** The end of a renewal whose response did not come: the item has this lease end or the one above. */
  unconfirmedLeaseEnd?: number | undefined
  /** When the event was due: releasing it restores that. */
  readonly dueAt: number
}

/** How an attempt ended that did not succeed. */
export interface FailedAttempt {
  /** Attempts so far, this one included. */
  retryCount: number
  error: string
  /** Epoch milliseconds at which to try again, or the time of the event's occurrence for the failed ones. */
  gsiSortKey: number
  status: typeof EventStatus.CREATED | typeof EventStatus.FAILED
}

/** A condition is named by what it makes sure of. `#status` and its like are set by {@link update}. */
export const CONDITIONS = {
  notInTable: "attribute_not_exists(id)",
  /**
   * Not somebody else's item: what publishes events writes both, and what has lost one is a malformed event. Items that carry
   * a claim's token need not be asked.
   */
  anEvent: "(attribute_exists(#occurredAt) OR attribute_exists(#retryCount))",
  due: "#status = :created AND #gsiSortKey <= :now",
  /** Not a claim that has been won and released, and arrives once more: the token stays on the item. */
  newClaim: "(attribute_not_exists(#claimToken) OR #claimToken <> :mine)",
  leaseExpired: "#status = :active AND #gsiSortKey <= :now",
  mine: "#status = :active AND #claimToken = :mine AND #gsiSortKey IN (:myLease, :myOtherLease)",
  /** My own write that was carried out although its response got lost; the SDK sends it again. */
  done: "#status = :next AND #claimToken = :mine AND #gsiSortKey = :nextKey",
  asRecovered: "#status = :recovered AND #gsiSortKey = :recoveredKey",
  failed: "#status = :failed",
  /** Not another event that was published anew under the id: one that has been claimed before, and occurred at the same time. */
  thisEvent: "#occurredAt = :occurredAt AND (attribute_exists(#claimToken) OR attribute_exists(#startedOn))",
  uncompleted: "#status <> :completed",
} as const

type Put = NonNullable<NonNullable<TransactWriteCommandInput["TransactItems"]>[number]["Put"]>

/** (nothing) → created. A second publish must not overwrite an event that is under way, nor revive a delivered one. */
export function publish(tableName: string, item: EventItem): Put {
  return { TableName: tableName, Item: item, ConditionExpression: CONDITIONS.notInTable }
}

/**
 * created → active, for one winner among any number of workers. Returns the item as it is now, not as a stale
 * index showed it.
 */
export function claim(tableName: string, lease: Lease, now: number): UpdateCommandInput {
  return update(tableName, lease.id, {
    set: {
      status: EventStatus.ACTIVE,
      gsiSortKey: lease.leaseEndsAt,
      startedOn: now,
      claimToken: lease.token,
    },
    condition: `(${CONDITIONS.due} AND ${CONDITIONS.newClaim} AND ${CONDITIONS.anEvent}) OR (${CONDITIONS.done})`,
    values: {
      created: EventStatus.CREATED,
      now,
      next: EventStatus.ACTIVE,
      mine: lease.token,
      nextKey: lease.leaseEndsAt,
    },
    returnItem: true,
    // Tells a rival's claim from an item that is no event.
    returnRefused: true,
  })
}

/** active → active with a later end of the lease. */
export function renew(tableName: string, lease: Lease, leaseEndsAt: number): UpdateCommandInput {
  return updateMine(tableName, lease, { set: { status: EventStatus.ACTIVE, gsiSortKey: leaseEndsAt } })
}

/** active → created, as if it had never been claimed. */
export function release(tableName: string, lease: Lease): UpdateCommandInput {
  return updateMine(tableName, lease, {
    set: { status: EventStatus.CREATED, gsiSortKey: lease.dueAt },
    remove: ["startedOn"],
  })
}

/**
 * Undoes a claim whose outcome is unknown, and makes sure that it stays undone: whether the claim was carried out or not, the event
 * is due just past the claim's `:now` afterwards, so that a claim that arrives late, or is sent again, is refused.
 *
 * @param claimedAt - What was `now` for the claim.
 */
export function fence(tableName: string, lease: Lease, claimedAt: number): UpdateCommandInput {
  return update(tableName, lease.id, {
    set: { status: EventStatus.CREATED, gsiSortKey: claimedAt + 1 },
    remove: ["startedOn"],
    condition: `(${CONDITIONS.mine}) OR (${CONDITIONS.due} AND ${CONDITIONS.anEvent})`,
    values: {
      active: EventStatus.ACTIVE,
      mine: lease.token,
      myLease: lease.leaseEndsAt,
      myOtherLease: lease.leaseEndsAt,
      created: EventStatus.CREATED,
      now: claimedAt,
    },
  })
}

/** active → created or failed, by the worker that holds the claim, which has survived the attempt. */
export function fail(tableName: string, lease: Lease, attempt: FailedAttempt): UpdateCommandInput {
  const { set, remove } = failure(attempt)
  return updateMine(tableName, lease, { set, remove: [...remove, "crashCount"] })
}

/**
 * active → created or failed, by whoever finds that the lease has expired. The fresh token names the recovery, so that one
 * which the SDK sends again is recognised as done, and its attempt reported. (Its crash is then counted twice, which
 * only makes relays careful earlier.) `seenCount` is what `attempt` counted on from.
 */
export function recover(
  tableName: string,
  { id, token }: Pick<Lease, "id" | "token">,
  attempt: FailedAttempt,
  seenCount: unknown,
  now: number,
): UpdateCommandInput {
  const { set, remove } = failure(attempt)
  const countUnchanged =
    seenCount === undefined ? "attribute_not_exists(#retryCount)" : "#retryCount = :seenCount"
  return update(tableName, id, {
    set: { ...set, claimToken: token },
    add: { crashCount: 1 },
    remove,
    condition: `(${CONDITIONS.leaseExpired} AND ${countUnchanged} AND ${CONDITIONS.anEvent}) OR (${CONDITIONS.done})`,
    values: {
      active: EventStatus.ACTIVE,
      now,
      ...(seenCount !== undefined && { seenCount }),
      next: attempt.status,
      mine: token,
      nextKey: attempt.gsiSortKey,
    },
    returnItem: true,
  })
}

/** created or failed → failed, for an item that turned out unreadable when it was recovered as `recovered`. */
export function setAside(
  tableName: string,
  id: string,
  attempt: FailedAttempt,
  recovered: FailedAttempt,
): UpdateCommandInput {
  return update(tableName, id, {
    ...failure(attempt),
    condition: `${CONDITIONS.asRecovered} AND ${CONDITIONS.anEvent}`,
    values: { recovered: recovered.status, recoveredKey: recovered.gsiSortKey },
  })
}

/** What becomes of an event that is done. Only such a one ever gets an expiry: an undelivered event must not disappear. */
export type Retention =
  | { readonly kind: "keep" | "delete" }
  | { readonly kind: "expire"; readonly afterMs: number; readonly attribute: string }

/** An event as its handler was given it; `occurredAt` as it is stored. */
interface DeliveredEvent {
  readonly id: string
  readonly occurredAt: string
}

/**
 * active → completed. The handler has succeeded, so the event is delivered, whoever holds the claim by now: settling
 * it saves a redelivery.
 */
export function complete(
  tableName: string,
  { id, occurredAt }: DeliveredEvent,
  now: number,
  retention: Retention = { kind: "keep" },
): UpdateCommandInput {
  return update(tableName, id, {
    set: { status: EventStatus.COMPLETED, completedOn: now, ...expiry(retention, now) },
    // Without its sort key the item leaves the index.
    remove: ["gsiSortKey", "claimToken", "nextRetryAt", "crashCount"],
    condition: `${CONDITIONS.thisEvent} AND ${CONDITIONS.uncompleted}`,
    values: { occurredAt, completed: EventStatus.COMPLETED },
  })
}

/** active → (nothing): as {@link complete}, for a table that keeps no delivered events. */
export function completeAndDelete(tableName: string, { id, occurredAt }: DeliveredEvent): DeleteCommandInput {
  return remove(tableName, id, `${CONDITIONS.thisEvent} AND ${CONDITIONS.uncompleted}`, {
    occurredAt,
    completed: EventStatus.COMPLETED,
  })
}

/** DynamoDB's TTL takes epoch seconds. */
export function expiry(retention: Retention, now: number): Record<string, number> {
  if (retention.kind !== "expire") return {}
  return { [retention.attribute]: Math.ceil((now + retention.afterMs) / 1000) }
}

function failure({ status, retryCount, error, gsiSortKey }: FailedAttempt) {
  const isRetried = status === EventStatus.CREATED
  return {
    set: { status, retryCount, lastError: error, gsiSortKey, ...(isRetried && { nextRetryAt: gsiSortKey }) },
    remove: isRetried ? [] : ["nextRetryAt"],
  }
}

/**
 * A write that only the owner of a claim may do. The token stays on the item: should the response to this write get
 * lost, the one that the SDK sends again is recognised as `done`.
 */
function updateMine(
  tableName: string,
  lease: Lease,
  change: Change & { set: { gsiSortKey: number } },
): UpdateCommandInput {
  return update(tableName, lease.id, {
    ...change,
    condition: `(${CONDITIONS.mine}) OR (${CONDITIONS.done})`,
    values: {
      active: EventStatus.ACTIVE,
      mine: lease.token,
      myLease: lease.leaseEndsAt,
      myOtherLease: lease.unconfirmedLeaseEnd ?? lease.leaseEndsAt,
      next: change.set.status,
      nextKey: change.set.gsiSortKey,
    },
  })
}
