/** A table of events in memory, behind the EventLife of one or more workers, and what was seen of it. */
import { vi } from "vitest"
import type { Claim, ClaimOutcome, EventLife } from "./event-life.ts"
import { IndexRows } from "./index-rows.fixture.ts"

type Status = "created" | "active" | "completed" | "failed"

interface StoredEvent {
  status: Status
  token?: string | undefined
  retryCount: number
  wasRecovered: boolean
  isLastAttempt: boolean
}

/** What an event is put into the table with. */
export interface Given {
  id: string
  dueAt?: number
  wasRecovered?: boolean
  isLastAttempt?: boolean
}

export const LEASE_MS = 1000

export class EventTable {
  readonly index = new IndexRows()
  readonly events = new Map<string, StoredEvent>()
  /** How long each request takes, in milliseconds: `Infinity` for no answer, 0 for the next turn of promises. */
  latencyMs = { due: 0, claim: 0, renew: 0, release: 0, complete: 0, fail: 0 }
  private tokens = 0

  put({ id, dueAt = Date.now() - 1000, wasRecovered = false, isLastAttempt = false }: Given): void {
    this.events.set(id, { status: "created", retryCount: Number(wasRecovered), wasRecovered, isLastAttempt })
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

  /** One worker's view of the table; each function is a mock, to be watched or made to fail. */
  life() {
    const mine = ({ hold }: Pick<Claim, "hold">): StoredEvent | undefined => {
      const event = this.events.get(hold.id)
      return event?.status === "active" && event.token === hold.token ? event : undefined
    }
    return {
      due: vi.fn<EventLife["due"]>(async (request) => {
        await this.takes("due")
        return this.index.read(request)
      }),
      claim: vi.fn<EventLife["claim"]>(async (row): Promise<ClaimOutcome> => {
        await this.takes("claim")
        const event = this.events.get(row.id)
        if (event?.status !== "created") return { kind: "lost" }
        const dueAt = row.gsiSortKey as number
        const token = `t${this.tokens++}`
        Object.assign(event, { status: "active", token })
        this.index.delete(row.id)
        const { retryCount, wasRecovered, isLastAttempt } = event
        const hold = { id: row.id, token, leaseEndsAt: Date.now() + LEASE_MS, dueAt }
        const occurredAt = new Date(dueAt)
        const busEvent = { id: row.id, type: "t", payload: row.id, occurredAt }
        const claim = { hold, event: busEvent, occurredAt, retryCount, wasRecovered, isLastAttempt }
        return { kind: "won", claim }
      }),
      renew: vi.fn<EventLife["renew"]>(async (hold, leaseEndsAt) => {
        await this.takes("renew")
        if (!mine({ hold })) return false
        hold.leaseEndsAt = leaseEndsAt
        return true
      }),
      release: vi.fn<EventLife["release"]>(async (claim) => {
        await this.takes("release")
        const event = mine(claim)
        if (!event) return
        event.status = "created"
        this.index.put({ id: claim.hold.id, gsiSortKey: claim.hold.dueAt })
      }),
      complete: vi.fn<EventLife["complete"]>(async (claim) => {
        await this.takes("complete")
        const event = this.events.get(claim.hold.id)
        if (event) event.status = "completed"
      }),
      fail: vi.fn<EventLife["fail"]>(async (claim) => {
        await this.takes("fail")
        const event = mine(claim)
        if (event) event.status = "failed"
      }),
    }
  }

  private async takes(step: keyof EventTable["latencyMs"]): Promise<void> {
    const ms = this.latencyMs[step]
    if (ms === Number.POSITIVE_INFINITY) await new Promise(() => {})
    else if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
    else await Promise.resolve()
  }
}
