/** A worker of the model: what it has read and claimed, and the writes that each of its steps leads to. */
import {
  BASE_BACKOFF_MS,
  LEASE_MS,
  MAX_RETRIES,
  type Projection,
  type SeenRow,
  showRows,
} from "./circumstances.ts"
import type { ModelWire } from "./model-wire.ts"
import type { ModelAttempt, ModelLease } from "./table-model.ts"

interface Held {
  lease: ModelLease
  /** As the claim has shown them. */
  retryCount: number
  occurredAt: number
}

export class ModelWorker {
  skew = 0
  due = new Map<string, SeenRow>()
  stuck = new Map<string, SeenRow>()
  /** What it has claimed and not settled yet. */
  readonly holds = new Map<string, Held>()

  constructor(
    private readonly wire: ModelWire,
    private readonly trueTime: () => number,
    private readonly projection: Projection,
  ) {}

  clock(): number {
    return this.trueTime() + this.skew
  }

  look(): string {
    const clock = this.clock()
    const rows = [...this.wire.table].map(([id, item]) => ({
      id,
      ...item,
      gsiSortKey: item.gsiSortKey ?? Number.NaN,
    }))
    const visible = (row: (typeof rows)[0]): SeenRow => {
      const { id, gsiSortKey, retryCount, occurredAt } = row
      return this.projection === "ALL" ? { id, gsiSortKey, retryCount, occurredAt } : { id, gsiSortKey }
    }
    const before = rows.filter(({ gsiSortKey }) => gsiSortKey <= clock)
    const due = before.filter(({ status }) => status === "created")
    const stuck = before.filter(({ status }) => status === "active")
    this.due = new Map(due.map((row) => [row.id, { id: row.id, gsiSortKey: row.gsiSortKey }]))
    this.stuck = new Map(stuck.map((row) => [row.id, visible(row)]))
    return showRows(
      due,
      stuck,
      rows.filter(({ status }) => status === "failed"),
    )
  }

  claim(id: string): string {
    const now = this.clock()
    const dueAt = (this.due.get(id) as SeenRow).gsiSortKey
    const lease: ModelLease = { id, token: this.wire.newToken("claim"), leaseEndsAt: now + LEASE_MS, dueAt }
    const result = this.wire.write({
      kind: "claim",
      id,
      token: lease.token,
      leaseEndsAt: lease.leaseEndsAt,
      now,
    })
    if (result === "error") {
      // Perhaps it was claimed after all, or will be.
      this.wire.write({ kind: "fence", id, lease, claimedAt: now })
      return "error"
    }
    if (result === "refused") return "lost"
    const item = this.wire.table.get(id)
    if (!item) throw new Error("a write can't have succeeded without its item")
    if (item.isDamaged) {
      this.wire.settle({ kind: "fail", id, lease, attempt: this.aside(id) })
      this.wire.reports.push("ValidationError")
      return "unreadable"
    }
    this.holds.set(id, { lease, retryCount: item.retryCount, occurredAt: item.occurredAt })
    return "won"
  }

  complete(id: string): string {
    const { occurredAt } = this.drop(id)
    this.wire.settle({ kind: "complete", id, occurredAt, now: this.clock() })
    return "done"
  }

  release(id: string): string {
    this.wire.settle({ kind: "release", id, lease: this.drop(id).lease })
    return "done"
  }

  fail(id: string): string {
    const { lease, retryCount, occurredAt } = this.drop(id)
    const attempt = failedAttempt("handler", retryCount, occurredAt, lease.dueAt, this.clock())
    const result = this.wire.settle({ kind: "fail", id, lease, attempt })
    this.reportAttempt(result === "written" ? attempt : undefined)
    return "done"
  }

  renew(id: string): string {
    const { lease } = this.holds.get(id) as { lease: ModelLease }
    // As long as it is not known whether a renewal was written, the same one is retried.
    lease.unconfirmedLeaseEnd ??= this.clock() + LEASE_MS
    const leaseEndsAt = lease.unconfirmedLeaseEnd
    const result = this.wire.write({ kind: "renew", id, lease: { ...lease }, leaseEndsAt })
    if (result === "error") return "error"
    if (result === "refused") {
      this.drop(id)
      return "lost"
    }
    lease.leaseEndsAt = leaseEndsAt
    delete lease.unconfirmedLeaseEnd
    return "renewed"
  }

  recover(id: string): string {
    const row = this.stuck.get(id) as SeenRow
    const seen = row.retryCount === undefined ? (this.wire.table.get(id) ?? row) : row
    const { retryCount, occurredAt = 0 } = seen
    const now = this.clock()
    const attempt = failedAttempt("timeout", retryCount ?? 0, occurredAt, now, now)
    const token = this.wire.newToken("recovery")
    const result = this.wire.write({ kind: "recover", id, token, attempt, seenCount: retryCount, now })
    if (result !== "written") return result === "error" ? "error" : "done"
    if (this.wire.table.get(id)?.isDamaged) {
      if (this.wire.write({ kind: "setAside", id, attempt: this.aside(id), recovered: attempt }) === "error")
        return "error"
      this.wire.reports.push("ValidationError")
    } else {
      this.reportAttempt(attempt)
    }
    return "done"
  }

  retry(id: string): string {
    const result = this.wire.write({ kind: "retry", id, now: this.clock() })
    return result === "error" ? "error" : "done"
  }

  discard(id: string): string {
    const result = this.wire.write({ kind: "discard", id, now: this.clock() })
    return result === "error" ? "error" : "done"
  }

  private drop(id: string) {
    const held = this.holds.get(id)
    if (!held) throw new Error(`no claim of ${id} is held`)
    this.holds.delete(id)
    return held
  }

  /** What a damaged item becomes: a dead letter, whose attempts are those that it shows. */
  private aside(id: string): ModelAttempt {
    const { retryCount = 0, occurredAt = 0 } = this.wire.table.get(id) ?? {}
    return { status: "failed", retryCount, gsiSortKey: occurredAt, lastError: "unreadable" }
  }

  private reportAttempt(written: ModelAttempt | undefined): void {
    this.wire.reports.push(written?.status === "failed" ? "MaxRetriesExceededError" : "HandlerError")
  }
}

function failedAttempt(
  lastError: ModelAttempt["lastError"],
  retryCount: number,
  occurredAt: number,
  dueAt: number,
  now: number,
): ModelAttempt {
  const attempts = retryCount + 1
  if (attempts >= MAX_RETRIES)
    return { status: "failed", retryCount: attempts, gsiSortKey: occurredAt, lastError }
  const gsiSortKey = Math.max(now + BASE_BACKOFF_MS * 2 ** (attempts - 1), dueAt + 1)
  return { status: "created", retryCount: attempts, gsiSortKey, lastError }
}
