// Outboxes that break a promise about events whose handler fails. The suite must catch every one of them.

import { HandlerError, MaxRetriesExceededError, type OutboxError } from "../errors.ts"
import type { FailedBusEvent } from "../event.ts"
import type { ErrorHandler } from "../outbox.ts"
import { type BrokenOutboxes, type Row, TableOutbox } from "./table-outbox.fixture.ts"

export const BROKEN_FAILURE: BrokenOutboxes = {
  "never tries again": {
    caughtBy: "tries a failed event again",
    outbox: class extends TableOutbox {
      protected override fail(row: Row, error: unknown) {
        row.retryCount = this.maxRetries
        super.fail(row, error)
      }
    },
  },
  "swallows the errors of handlers": {
    caughtBy: "tries a failed event again",
    outbox: class extends TableOutbox {
      protected override report() {}
    },
  },
  "reports each error twice": {
    caughtBy: "tries a failed event again",
    outbox: class extends TableOutbox {
      protected override report(error: unknown, row: Row) {
        super.report(error, row)
        super.report(error, row)
      }
    },
  },
  "runs the handler once too often": {
    caughtBy: "gives an event up after the declared number of runs",
    outbox: class extends TableOutbox {
      constructor(table: Map<string, Row>, maxRetries: number) {
        super(table, maxRetries + 1)
      }
    },
  },
  "reports the last failure like the others": {
    caughtBy: "gives an event up after the declared number of runs",
    outbox: class extends TableOutbox {
      protected override report(error: unknown, { event }: Row) {
        tell(this.onError, new HandlerError(error, event))
      }
    },
  },
  "reports the end of retries too early": {
    caughtBy: "tries a failed event again",
    outbox: class extends TableOutbox {
      protected override report(error: unknown, { event, retryCount }: Row) {
        tell(this.onError, new MaxRetriesExceededError(error, { ...event, retryCount }))
      }
    },
  },
  "hides its dead letters": {
    caughtBy: "lists a dead letter with its data, error, retry count and time",
    outbox: class extends TableOutbox {
      override async getFailedEvents() {
        return []
      }
    },
  },
  "lists dead letters without their error": {
    caughtBy: "lists a dead letter with its data, error, retry count and time",
    outbox: class extends TableOutbox {
      override async getFailedEvents() {
        return (await super.getFailedEvents()).map(({ error: _, ...letter }): FailedBusEvent => letter)
      }
    },
  },
  "lists the oldest dead letters first": {
    caughtBy: "lists dead letters in the order of occurrence, the newest first",
    outbox: class extends TableOutbox {
      override async getFailedEvents() {
        return (await super.getFailedEvents()).reverse()
      }
    },
  },
  "lists dead letters by occurrence although it claims otherwise": {
    caughtBy: "lists dead letters in the order in which they were dead-lettered",
    claims: { deadLetterOrder: "as dead-lettered" },
    outbox: TableOutbox,
  },
  "takes only errors for failures": {
    caughtBy: "takes whatever a handler throws",
    outbox: class extends TableOutbox {
      protected override fail(row: Row, error: unknown) {
        if (error instanceof Error) super.fail(row, error)
        else row.status = "completed"
      }
    },
  },
  "stays at an event that fails": {
    caughtBy: "delivers the events beside one that fails",
    outbox: class extends TableOutbox {
      protected override next() {
        const rows = [...this.table.values()]
        return rows.some(({ status }) => status === "failed") ? undefined : super.next()
      }
    },
  },
  "ends its loop when onError throws": {
    caughtBy: "is not disturbed by an onError that throws",
    outbox: class extends TableOutbox {
      protected override report(error: unknown, { event, retryCount }: Row) {
        if (retryCount < this.maxRetries) tell(this.onError, new HandlerError(error, event))
        else tell(this.onError, new MaxRetriesExceededError(error, { ...event, retryCount }))
      }
    },
  },
  "counts on after a retry": {
    caughtBy: "delivers a retried dead letter again, with all its attempts",
    outbox: class extends TableOutbox {
      override async retryEvents(ids: string[]) {
        for (const id of ids) {
          const row = this.table.get(id)
          if (row?.status === "failed") row.status = "created"
        }
      }
    },
  },
  "ignores retries": {
    caughtBy: "delivers a retried dead letter again",
    outbox: class extends TableOutbox {
      override async retryEvents() {}
    },
  },
  "retries every dead letter": {
    caughtBy: "retries no dead letters but those that are named",
    outbox: class extends TableOutbox {
      override async retryEvents(ids: string[]) {
        if (ids.length > 0) await super.retryEvents([...this.table.keys()])
      }
    },
  },
  "retries events that are no dead letters": {
    caughtBy: "ignores a retry of no ids, of unknown ids and of events that are no dead letters",
    outbox: class extends TableOutbox {
      override async retryEvents(ids: string[]) {
        for (const id of ids) Object.assign(this.table.get(id) ?? {}, { status: "created", retryCount: 0 })
      }
    },
  },
  "makes events of unknown ids": {
    caughtBy: "ignores a retry of no ids, of unknown ids and of events that are no dead letters",
    outbox: class extends TableOutbox {
      override async retryEvents(ids: string[]) {
        for (const id of ids.filter((unknown) => !this.table.has(unknown))) {
          this.put({ id, type: "", payload: undefined, occurredAt: new Date() })
        }
        await super.retryEvents(ids)
      }
    },
  },
}

/** Lets a rejection pass: left unhandled, it would end the test run. */
function tell(onError: ErrorHandler, error: OutboxError): void {
  const result: unknown = onError(error)
  if (result instanceof Promise) result.catch(() => {})
}
