/**
 * The model of a whole history: the table, what each worker knows, the clocks; and what each step must lead to. Workers
 * act as the adapter's do: read the index, claim what they have read, settle what they have claimed.
 */
import type { EventStep, Fate, Step } from "./step.ts"
import {
  apply,
  type ModelAttempt,
  type ModelHold,
  type Table,
  type Write,
  type WriteResult,
} from "./table-model.ts"

export const START = Date.UTC(2030, 0, 1)
export const LEASE_MS = 30_000
export const MAX_RETRIES = 3
export const BASE_BACKOFF_MS = 1000
/** What the SDK tries before it gives up. */
export const ATTEMPTS = 2
export const WORKERS = 3
export const IDS = ["a", "b", "c"] as const

export type Projection = "ALL" | "KEYS_ONLY"

/** A row of the index, as a worker has read it. */
export interface SeenRow {
  id: string
  gsiSortKey: number
  /** `undefined` where the index carries the keys alone. */
  retryCount?: number
  occurredAt?: number
}

interface Worker {
  skew: number
  due: Map<string, SeenRow>
  stuck: Map<string, SeenRow>
  /** What it has claimed and not settled yet, with the retry count as the claim has shown it. */
  holds: Map<string, { hold: ModelHold; retryCount: number; occurredAt: number }>
}

/** What a step came to, for whoever took it. */
export interface Outcome {
  result: string
  /** Names of the errors that were reported to `onError`. */
  reports: string[]
}

/** The worker's process has ended in the middle of a step. */
class Death {}

export class World {
  now = START
  readonly table: Table = new Map()
  readonly workers: Worker[] = Array.from({ length: WORKERS }, newWorker)
  /** Every write that was sent, in order. */
  readonly past: Write[] = []
  private tokens = 0
  private fates: Fate[] = []
  private reports: string[] = []

  constructor(readonly projection: Projection) {}

  clockOf(worker: number): number {
    return this.now + this.worker(worker).skew
  }

  worker(index: number): Worker {
    return this.workers[index] as Worker
  }

  /** Whether a step makes sense now. */
  allows(step: Step): boolean {
    switch (step.do) {
      case "claim":
        return this.worker(step.worker).due.has(step.id)
      case "recover":
        return this.worker(step.worker).stuck.has(step.id)
      case "complete":
      case "fail":
      case "release":
        return this.worker(step.worker).holds.has(step.id)
      case "renew": {
        // A worker whose clock was set back leaves a lease alone that is long enough.
        const hold = this.worker(step.worker).holds.get(step.id)?.hold
        return hold !== undefined && this.clockOf(step.worker) + LEASE_MS > hold.leaseEndsAt
      }
      case "late":
        return step.write < this.past.length
      case "delete":
        return this.table.has(step.id)
      case "damage": {
        const item = this.table.get(step.id)
        return item !== undefined && item.status !== "completed" && !item.isDamaged
      }
      default:
        return true
    }
  }

  /** Takes a step. */
  take(step: Step): Outcome {
    this.fates = "fates" in step ? [...(step.fates ?? [])] : []
    this.reports = []
    try {
      return { result: this.resultOf(step), reports: this.reports }
    } catch (thrown) {
      if (!(thrown instanceof Death)) throw thrown
      this.die((step as EventStep).worker)
      return { result: "died", reports: [] }
    }
  }

  private resultOf(step: Step): string {
    switch (step.do) {
      case "publish":
        return this.publish(step.ids, this.now + step.dueIn)
      case "look":
        return this.look(step.worker)
      case "late":
        return apply(this.table, this.past[step.write] as Write)
      case "delete":
        this.table.delete(step.id)
        return "done"
      case "damage":
        Object.assign(this.table.get(step.id) ?? {}, { isDamaged: true })
        return "done"
      case "pass":
        this.now += step.ms
        return "done"
      case "skew":
        this.worker(step.worker).skew = step.ms
        return "done"
      case "die":
        this.die(step.worker)
        return "done"
      default:
        return this[step.do](step.worker, step.id)
    }
  }

  private die(worker: number): void {
    this.workers[worker] = newWorker()
  }

  private publish(ids: readonly string[], occurredAt: number): string {
    const write: Write = { kind: "publish", events: ids.map((id) => ({ id, occurredAt })) }
    this.past.push(write)
    // The SDK marks a transaction, so sending it again changes nothing and gives the answer of the first time.
    let first: WriteResult | undefined
    return this.send(() => {
      if (first !== "written") first = apply(this.table, write)
      return first
    })
  }

  private look(index: number): string {
    const worker = this.worker(index)
    const clock = this.clockOf(index)
    const rows = [...this.table].map(([id, item]) => ({
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
    worker.due = new Map(due.map((row) => [row.id, { id: row.id, gsiSortKey: row.gsiSortKey }]))
    worker.stuck = new Map(stuck.map((row) => [row.id, visible(row)]))
    return showRows(
      due,
      stuck,
      rows.filter(({ status }) => status === "failed"),
    )
  }

  private claim(index: number, id: string): string {
    const worker = this.worker(index)
    const now = this.clockOf(index)
    const dueAt = (worker.due.get(id) as SeenRow).gsiSortKey
    const hold: ModelHold = { id, token: this.newToken("claim"), leaseEndsAt: now + LEASE_MS, dueAt }
    const result = this.write({ kind: "claim", id, token: hold.token, leaseEndsAt: hold.leaseEndsAt, now })
    if (result === "error") {
      // Perhaps it was claimed after all.
      this.write({ kind: "release", id, hold })
      return "error"
    }
    if (result === "refused") return "lost"
    const item = this.table.get(id)
    if (!item) throw new Error("a write can't have succeeded without its item")
    if (item.isDamaged) {
      this.settle({ kind: "fail", id, hold, attempt: this.aside(id) })
      this.reports.push("ValidationError")
      return "unreadable"
    }
    worker.holds.set(id, { hold, retryCount: item.retryCount, occurredAt: item.occurredAt })
    return "won"
  }

  private complete(index: number, id: string): string {
    this.drop(index, id)
    this.settle({ kind: "complete", id, now: this.clockOf(index) })
    return "done"
  }

  private release(index: number, id: string): string {
    this.settle({ kind: "release", id, hold: this.drop(index, id).hold })
    return "done"
  }

  private fail(index: number, id: string): string {
    const { hold, retryCount, occurredAt } = this.drop(index, id)
    const attempt = failedAttempt("handler", retryCount, occurredAt, hold.dueAt, this.clockOf(index))
    const result = this.settle({ kind: "fail", id, hold, attempt })
    this.reportAttempt(result === "written" ? attempt : undefined)
    return "done"
  }

  private renew(index: number, id: string): string {
    const { hold } = this.worker(index).holds.get(id) as { hold: ModelHold }
    // As long as it is not known whether a renewal was written, the same one is tried again.
    hold.unconfirmedLeaseEnd ??= this.clockOf(index) + LEASE_MS
    const leaseEndsAt = hold.unconfirmedLeaseEnd
    const result = this.write({ kind: "renew", id, hold: { ...hold }, leaseEndsAt })
    if (result === "error") return "error"
    if (result === "refused") {
      this.drop(index, id)
      return "lost"
    }
    hold.leaseEndsAt = leaseEndsAt
    delete hold.unconfirmedLeaseEnd
    return "renewed"
  }

  private recover(index: number, id: string): string {
    const row = this.worker(index).stuck.get(id) as SeenRow
    const seen = row.retryCount === undefined ? (this.table.get(id) ?? row) : row
    const { retryCount, occurredAt = 0 } = seen
    const now = this.clockOf(index)
    const attempt = failedAttempt("timeout", retryCount ?? 0, occurredAt, now, now)
    const token = this.newToken("recovery")
    const result = this.write({ kind: "recover", id, token, attempt, seenCount: retryCount, now })
    if (result !== "written") return result === "error" ? "error" : "done"
    if (this.table.get(id)?.isDamaged) {
      if (this.write({ kind: "setAside", id, attempt: this.aside(id), recovered: attempt }) === "error")
        return "error"
      this.reports.push("ValidationError")
    } else {
      this.reportAttempt(attempt)
    }
    return "done"
  }

  private retry(index: number, id: string): string {
    const result = this.write({ kind: "retry", id, now: this.clockOf(index) })
    return result === "error" ? "error" : "done"
  }

  private newToken(of: string): string {
    return `${of} ${this.tokens++}`
  }

  private drop(index: number, id: string) {
    const { holds } = this.worker(index)
    const held = holds.get(id)
    if (!held) throw new Error(`worker ${index} holds no claim of ${id}`)
    holds.delete(id)
    return held
  }

  /** What a damaged item becomes: a dead letter, whose attempts are those that it shows. */
  private aside(id: string): ModelAttempt {
    const { retryCount = 0, occurredAt = 0 } = this.table.get(id) ?? {}
    return { status: "failed", retryCount, gsiSortKey: occurredAt, lastError: "unreadable" }
  }

  private reportAttempt(written: ModelAttempt | undefined): void {
    this.reports.push(written?.status === "failed" ? "MaxRetriesExceededError" : "HandlerError")
  }

  private write(write: Write): WriteResult | "error" {
    this.past.push(write)
    return this.send(() => apply(this.table, write))
  }

  /** Tries until there is an answer, and reports the first failure. */
  private settle(write: Write): WriteResult {
    let result = this.write(write)
    if (result === "error") this.reports.push("OperationalError")
    while (result === "error") result = this.write(write)
    return result
  }

  /** Sends as the SDK does: again when there was no answer. */
  private send(attempt: () => WriteResult): WriteResult | "error" {
    for (let attempts = 0; attempts < ATTEMPTS; attempts++) {
      const fate = this.fates.shift()
      if (fate === "dies before") throw new Death()
      const result = fate === "dropped" ? undefined : attempt()
      if (fate === "dies after") throw new Death()
      if (fate === undefined) return result as WriteResult
    }
    return "error"
  }
}

function newWorker(): Worker {
  return { skew: 0, due: new Map(), stuck: new Map(), holds: new Map() }
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

/** What a worker sees of the index, in a form that does not depend on the order of rows with equal keys. */
export function showRows(
  due: readonly SeenRow[],
  stuck: readonly SeenRow[],
  failed: readonly SeenRow[],
): string {
  const show = (rows: readonly SeenRow[]) =>
    rows
      .map(({ id, gsiSortKey }) => `${id}@${gsiSortKey - START}`)
      .sort()
      .join(" ")
  return `due: ${show(due)}; stuck: ${show(stuck)}; failed: ${show(failed)}`
}
