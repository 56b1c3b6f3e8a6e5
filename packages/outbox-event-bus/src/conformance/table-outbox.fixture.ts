// The simplest outbox that has every capability: its table is a Map, which several outboxes can share. Small methods, so
// that a broken one differs in a single line.

import { setTimeout as delay } from "node:timers/promises"
import { formatErrorMessage } from "../error-message.ts"
import { reportEventError } from "../error-reporting.ts"
import type { BusEvent, FailedBusEvent } from "../event.ts"
import type { ErrorHandler, IOutbox } from "../outbox.ts"
import type { ConformanceCapabilities, ConformanceStore, ConformanceSubject } from "./subject.ts"

export type Handler = (event: BusEvent) => Promise<void>
export type Row = {
  event: BusEvent
  status: "created" | "active" | "completed" | "failed"
  retryCount: number
  error?: string
  lastAttemptAt?: Date
}
type Table = Map<string, Row>
/** A run of the loop, from start to stop. */
export type Run = { isOver: boolean; ended: Promise<void> }

export class TableOutbox implements IOutbox<BusEvent[]> {
  protected handler: Handler = async () => {}
  protected onError: ErrorHandler = () => {}
  protected run: Run | undefined

  constructor(
    readonly table: Table,
    protected readonly maxRetries: number,
  ) {}

  async publish(events: BusEvent[], transaction?: BusEvent[]): Promise<void> {
    if (transaction) transaction.push(...events)
    else this.store(events)
  }

  store(events: BusEvent[]): void {
    events.forEach(({ id }, i) => {
      const isTaken = this.table.has(id) || events.findIndex((event) => event.id === id) < i
      if (isTaken) throw new Error(`There is an event with the id ${id} already`)
    })
    for (const event of events) this.put(structuredClone(event))
  }

  start(handler: Handler, onError: ErrorHandler): void {
    if (this.run && !this.run.isOver) return
    this.handler = handler
    this.onError = onError
    const previous = this.run?.ended
    const run: Run = { isOver: false, ended: Promise.resolve() }
    run.ended = this.loop(run, previous)
    // Those that are broken may end early; who waits for them sees it.
    run.ended.catch(() => {})
    this.run = run
  }

  async stop(): Promise<void> {
    if (!this.run) return
    this.run.isOver = true
    await this.run.ended
  }

  async getFailedEvents(): Promise<FailedBusEvent[]> {
    return [...this.table.values()]
      .filter(({ status }) => status === "failed")
      .map(({ event, status: _, ...letter }) => ({ ...event, ...letter }))
      .sort((a, b) => b.occurredAt.getTime() - a.occurredAt.getTime())
  }

  async retryEvents(eventIds: string[]): Promise<void> {
    for (const id of eventIds) {
      const row = this.table.get(id)
      if (row?.status === "failed") Object.assign(row, { status: "created", retryCount: 0 })
    }
  }

  protected put(event: BusEvent): void {
    this.table.set(event.id, { event, status: "created", retryCount: 0 })
  }

  protected async loop(run: Run, previous?: Promise<void>): Promise<void> {
    await previous
    do {
      const row = this.next()
      if (row) await this.deliver(row)
      else await delay(2)
    } while (!run.isOver)
  }

  protected next(): Row | undefined {
    const due = [...this.table.values()].filter(
      ({ status, event }) => status === "created" && event.occurredAt.getTime() <= Date.now(),
    )
    return due.sort((a, b) => a.event.occurredAt.getTime() - b.event.occurredAt.getTime())[0]
  }

  protected async deliver(row: Row): Promise<void> {
    row.status = "active"
    try {
      await this.handler(structuredClone(row.event))
      row.status = "completed"
    } catch (error) {
      this.fail(row, error)
    }
  }

  protected fail(row: Row, error: unknown): void {
    row.retryCount++
    row.error = formatErrorMessage(error)
    row.lastAttemptAt = new Date()
    row.status = row.retryCount >= this.maxRetries ? "failed" : "created"
    this.report(error, row)
  }

  protected report(error: unknown, { event, retryCount }: Row): void {
    // At maxRetries the event is given up, which the core's helper says of more than its last argument.
    reportEventError(this.onError, error, event, retryCount, this.maxRetries - 1)
  }
}

/** What is broken → the outbox, the beginning of the name of a case that must catch it, and what the outbox claims of itself. */
export type BrokenOutboxes = Record<
  string,
  { outbox: typeof TableOutbox; caughtBy: string; claims?: Partial<ConformanceCapabilities> }
>

/** An outbox class as the subject of the conformance suite. */
export function subjectOf(
  OutboxClass: typeof TableOutbox,
  timing: Pick<ConformanceSubject, "timeoutMs" | "quietMs"> = {},
  claims: Partial<ConformanceCapabilities> = {},
): ConformanceSubject<BusEvent[]> {
  return {
    ...timing,
    capabilities: {
      handlerRuns: "maxRetries",
      order: "occurrence",
      refusesDuplicates: true,
      delaysFutureEvents: true,
      transactions: true,
      sharedStore: true,
      deliversBeforeStop: true,
      ...claims,
    },
    openStore: (): ConformanceStore<BusEvent[]> => {
      const table: Table = new Map()
      const create = (maxRetries: number) => new OutboxClass(table, maxRetries)
      return {
        createOutbox: ({ maxRetries }) => create(maxRetries),
        begin: () => {
          const transaction: BusEvent[] = []
          return {
            transaction,
            commit: async () => create(1).store(transaction),
            rollback: async () => {},
          }
        },
      }
    },
  }
}
