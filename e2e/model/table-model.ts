/**
 * The table as a pure model: what each write of the state machine does, and when it is refused. Written from the table
 * of writes in the architecture, not from the code.
 */

/** Names one claim or recovery. The engine's tokens are random: they are compared by which claim they belong to. */
export type Token = string

export interface ModelItem {
  status: "created" | "active" | "completed" | "failed"
  occurredAt: number
  retryCount: number
  gsiSortKey?: number
  claimToken?: Token
  startedOn?: number
  completedOn?: number
  nextRetryAt?: number
  crashCount?: number
  lastError?: "timeout" | "handler" | "unreadable"
  /** Somebody has removed its type: it can't be read as an event. */
  isDamaged?: boolean
}

export type Table = Map<string, ModelItem>

/** What a worker knows of a claim of its own. */
export interface ModelLease {
  id: string
  token: Token
  leaseEndsAt: number
  unconfirmedLeaseEnd?: number
  dueAt: number
}

/** An attempt that failed, and what becomes of the event. */
export interface ModelAttempt {
  status: "created" | "failed"
  retryCount: number
  gsiSortKey: number
  lastError: NonNullable<ModelItem["lastError"]>
}

export type Write =
  | { kind: "publish"; events: readonly { id: string; occurredAt: number }[] }
  | { kind: "claim"; id: string; token: Token; leaseEndsAt: number; now: number }
  | { kind: "renew"; id: string; lease: ModelLease; leaseEndsAt: number }
  | { kind: "release"; id: string; lease: ModelLease }
  | { kind: "fence"; id: string; lease: ModelLease; claimedAt: number }
  | { kind: "fail"; id: string; lease: ModelLease; attempt: ModelAttempt }
  | { kind: "complete"; id: string; occurredAt: number; now: number }
  | {
      kind: "recover"
      id: string
      token: Token
      attempt: ModelAttempt
      seenCount: number | undefined
      now: number
    }
  | { kind: "setAside"; id: string; attempt: ModelAttempt; recovered: ModelAttempt }
  | { kind: "retry"; id: string; now: number }
  | { kind: "discard"; id: string; now: number }

export type WriteResult = "written" | "refused"

/** Carries a write out, unless its condition is not met. */
export function apply(table: Table, write: Write): WriteResult {
  if (write.kind === "publish") return publish(table, write.events)
  const item = table.get(write.id)
  if (!item || !isAllowed(item, write)) return "refused"
  change(item, write)
  return "written"
}

function publish(table: Table, events: readonly { id: string; occurredAt: number }[]): WriteResult {
  if (events.some(({ id }) => table.has(id))) return "refused"
  for (const { id, occurredAt } of events) {
    table.set(id, { status: "created", occurredAt, retryCount: 0, gsiSortKey: occurredAt })
  }
  return "written"
}

type Update = Exclude<Write, { kind: "publish" }>

function isAllowed(item: ModelItem, write: Update): boolean {
  const key = item.gsiSortKey ?? Number.NaN
  switch (write.kind) {
    case "claim":
      return (
        (item.status === "created" && key <= write.now && item.claimToken !== write.token) ||
        isDone(item, "active", write.token, write.leaseEndsAt)
      )
    case "renew":
      return isMine(item, write.lease) || isDone(item, "active", write.lease.token, write.leaseEndsAt)
    case "release":
      return isMine(item, write.lease) || isDone(item, "created", write.lease.token, write.lease.dueAt)
    case "fence":
      return isMine(item, write.lease) || (item.status === "created" && key <= write.claimedAt)
    case "fail":
      return (
        isMine(item, write.lease) ||
        isDone(item, write.attempt.status, write.lease.token, write.attempt.gsiSortKey)
      )
    case "complete": {
      const wasClaimed = item.claimToken !== undefined || item.startedOn !== undefined
      return item.status !== "completed" && item.occurredAt === write.occurredAt && wasClaimed
    }
    case "recover":
      return (
        (item.status === "active" && key <= write.now && item.retryCount === write.seenCount) ||
        isDone(item, write.attempt.status, write.token, write.attempt.gsiSortKey)
      )
    case "setAside":
      return item.status === write.recovered.status && key === write.recovered.gsiSortKey
    case "retry":
    case "discard":
      return item.status === "failed"
  }
}

function isMine({ status, claimToken, gsiSortKey }: ModelItem, lease: ModelLease): boolean {
  const leases = [lease.leaseEndsAt, lease.unconfirmedLeaseEnd]
  return status === "active" && claimToken === lease.token && leases.includes(gsiSortKey)
}

/** The same write was carried out before, and only its response got lost. */
function isDone(item: ModelItem, status: ModelItem["status"], token: Token, key: number): boolean {
  return item.status === status && item.claimToken === token && item.gsiSortKey === key
}

function change(item: ModelItem, write: Update): void {
  switch (write.kind) {
    case "claim":
      Object.assign(item, { status: "active", gsiSortKey: write.leaseEndsAt, startedOn: write.now })
      item.claimToken = write.token
      return
    case "renew":
      item.gsiSortKey = write.leaseEndsAt
      return
    case "release":
      Object.assign(item, { status: "created", gsiSortKey: write.lease.dueAt })
      delete item.startedOn
      return
    case "fence":
      Object.assign(item, { status: "created", gsiSortKey: write.claimedAt + 1 })
      delete item.startedOn
      return
    case "fail":
      failed(item, write.attempt)
      delete item.crashCount
      return
    case "setAside":
      failed(item, write.attempt)
      return
    case "recover":
      failed(item, write.attempt)
      item.crashCount = (item.crashCount ?? 0) + 1
      item.claimToken = write.token
      return
    case "complete":
    case "discard":
      Object.assign(item, { status: "completed", completedOn: write.now })
      delete item.gsiSortKey
      delete item.claimToken
      delete item.nextRetryAt
      delete item.crashCount
      return
    case "retry":
      Object.assign(item, { status: "created", retryCount: 0, gsiSortKey: write.now })
      delete item.lastError
      delete item.nextRetryAt
      delete item.startedOn
      delete item.crashCount
      return
  }
}

function failed(item: ModelItem, attempt: ModelAttempt): void {
  Object.assign(item, attempt)
  if (attempt.status === "created") item.nextRetryAt = attempt.gsiSortKey
  else delete item.nextRetryAt
}
