/** A table of events in memory, behind the EventOperations of one or more workers, and what was seen of it. */
import { vi } from "vitest"
import type { ClaimOutcome, EventOperations } from "../delivery/event-operations.ts"
import type { Lease } from "../state/transitions.ts"
import { IndexRows } from "./index-rows.fixture.ts"

type Status = "created" | "active" | "completed" | "failed"

interface StoredEvent {
  status: Status
  token?: string | undefined
  leaseEndsAt?: number
  retryCount: number
  crashCount: number
  isLastAttempt: boolean
}

/** What an event is put into the table with. */
export interface Given {
  id: string
  dueAt?: number
  crashCount?: number
  isLastAttempt?: boolean
}

export const LEASE_MS = 1000

export class EventTable {
  readonly index = new IndexRows()
  readonly events = new Map<string, StoredEvent>()
  /** How long each request takes, in milliseconds: `Infinity` for no response, 0 for the next turn of promises. */
  latencyMs = { due: 0, look: 0, claim: 0, renew: 0, release: 0, complete: 0, fail: 0 }
  /** How long after a failure an event is due again; without, it never is. */
  retryAfterMs: number | undefined
  private tokens = 0

  put({ id, dueAt = Date.now() - 1000, crashCount = 0, isLastAttempt = false }: Given): void {
    this.events.set(id, { status: "created", retryCount: crashCount, crashCount, isLastAttempt })
    this.index.put({ id, gsiSortKey: dueAt })
  }

  putAll(ids: readonly string[]): void {
    for (const [i, id] of ids.entries()) this.put({ id, dueAt: Date.now() - 10_000 + i })
  }

  /** The ids of the events in a status, in the order in which they were put. */
  in(status: Status): string[] {
    return [...this.events].filter(([, event]) => event.status === status).map(([id]) => id)
  }

  /** Another worker recovers the event: this worker's claim is lost. */
  takeAway(id: string): void {
    const event = this.events.get(id) as StoredEvent
    event.token = undefined
    event.status = "created"
  }

  /** Sets back what is active though its lease has expired. */
  recover(): void {
    for (const [id, event] of this.events) {
      if (event.status !== "active" || (event.leaseEndsAt as number) > Date.now()) continue
      this.takeAway(id)
      event.crashCount++
      this.index.put({ id, gsiSortKey: Date.now() })
    }
  }

  /** The event that is claimed with this token, if it still is. */
  heldAs({ id, token }: Pick<Lease, "id" | "token">): StoredEvent | undefined {
    const event = this.events.get(id)
    return event?.status === "active" && event.token === token ? event : undefined
  }

  /** One worker's view of the table; each function is a mock, to be watched or made to fail. */
  life() {
    return {
      due: vi.fn<EventOperations["due"]>(async (request) => {
        await this.takes("due")
        return this.index.read(request)
      }),
      look: vi.fn<EventOperations["look"]>(async ({ id }) => {
        await this.takes("look")
        const event = this.events.get(id)
        if (event?.status !== "created") return undefined
        const { crashCount, isLastAttempt } = event
        return { crashCount, isLastAttempt, hasFewAttempts: isLastAttempt }
      }),
      claim: vi.fn<EventOperations["claim"]>(async (row): Promise<ClaimOutcome> => {
        await this.takes("claim")
        const event = this.events.get(row.id)
        if (event?.status !== "created") return { kind: "lost" }
        const dueAt = (row.gsiSortKey as number | undefined) ?? Date.now()
        const token = `t${this.tokens++}`
        const leaseEndsAt = Date.now() + LEASE_MS
        Object.assign(event, { status: "active", token, leaseEndsAt })
        this.index.delete(row.id)
        const { retryCount, crashCount, isLastAttempt } = event
        const lease = { id: row.id, token, leaseEndsAt, dueAt }
        const occurredAt = new Date(dueAt)
        const busEvent = { id: row.id, type: "t", payload: row.id, occurredAt }
        const storedOccurredAt = occurredAt.toISOString()
        const claim = {
          lease,
          event: busEvent,
          occurredAt,
          storedOccurredAt,
          retryCount,
          crashCount,
          isLastAttempt,
          hasFewAttempts: isLastAttempt,
        }
        return { kind: "won", claim }
      }),
      renew: vi.fn<EventOperations["renew"]>(async (lease, leaseEndsAt) => {
        await this.takes("renew")
        const event = this.heldAs(lease)
        if (!event) return false
        event.leaseEndsAt = leaseEndsAt
        lease.leaseEndsAt = leaseEndsAt
        return true
      }),
      release: vi.fn<EventOperations["release"]>(async (claim) => {
        await this.takes("release")
        const event = this.heldAs(claim.lease)
        if (!event) return undefined
        event.status = "created"
        this.index.put({ id: claim.lease.id, gsiSortKey: claim.lease.dueAt })
        return "released"
      }),
      complete: vi.fn<EventOperations["complete"]>(async (claim) => {
        await this.takes("complete")
        const event = this.events.get(claim.lease.id)
        if (event) event.status = "completed"
        this.index.delete(claim.lease.id)
        return event && "delivered"
      }),
      fail: vi.fn<EventOperations["fail"]>(async (claim) => {
        await this.takes("fail")
        const event = this.heldAs(claim.lease)
        return event && this.endAttempt(claim.lease.id, event)
      }),
      claimFailed: vi.fn<EventOperations["claimFailed"]>(),
      explained: vi.fn<EventOperations["explained"]>(async (error) => error),
      interrupted: vi.fn<EventOperations["interrupted"]>(),
    }
  }

  private endAttempt(id: string, event: StoredEvent): "deadLettered" | "retried" {
    const { retryAfterMs } = this
    if (retryAfterMs === undefined) {
      event.status = "failed"
      return "deadLettered"
    }
    Object.assign(event, { status: "created", crashCount: 0 })
    const gsiSortKey = Date.now() + retryAfterMs
    setTimeout(() => this.index.put({ id, gsiSortKey }), retryAfterMs)
    return "retried"
  }

  private async takes(step: keyof EventTable["latencyMs"]): Promise<void> {
    const ms = this.latencyMs[step]
    if (ms === Number.POSITIVE_INFINITY) await new Promise(() => {})
    else if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
    else await Promise.resolve()
  }
}
