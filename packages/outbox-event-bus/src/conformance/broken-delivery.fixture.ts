// Outboxes that break a promise about delivery. The suite must catch every one of them.

import type { BusEvent } from "../event.ts"
import type { ErrorHandler } from "../outbox.ts"
import { type BrokenOutboxes, type Handler, type Row, type Run, TableOutbox } from "./table-outbox.fixture.ts"

export const BROKEN_DELIVERY: BrokenOutboxes = {
  "loses one event of many": {
    caughtBy: "delivers each of many events exactly once",
    outbox: class extends TableOutbox {
      protected override put(event: BusEvent) {
        if (this.table.size !== 30) super.put(event)
        else super.put({ ...event, occurredAt: new Date(Date.now() + 3_600_000) })
      }
    },
  },
  "delivers an event twice": {
    caughtBy: "delivers each of many events exactly once",
    outbox: class extends TableOutbox {
      protected override async deliver(row: Row) {
        if (row.event.id === "event-5") await this.handler(row.event).catch(() => {})
        await super.deliver(row)
      }
    },
  },
  "forgets what was published before start": {
    caughtBy: "delivers events that were published before start",
    outbox: class extends TableOutbox {
      override start(handler: Handler, onError: ErrorHandler) {
        this.table.clear()
        super.start(handler, onError)
      }
    },
  },
  "looks for events at its start alone": {
    caughtBy: "delivers events that are published after start",
    outbox: class extends TableOutbox {
      protected override async loop(run: Run) {
        for (let row = this.next(); row && !run.isOver; row = this.next()) await this.deliver(row)
      }
    },
  },
  "makes an event of nothing": {
    caughtBy: "does nothing for a publish of no events",
    outbox: class extends TableOutbox {
      override store(events: BusEvent[]) {
        if (events.length > 0) return super.store(events)
        this.put({ id: "ghost", type: "ghost", payload: undefined, occurredAt: new Date() })
      }
    },
  },
  "drops metadata": {
    caughtBy: "hands over id, type, occurrence, payload and metadata",
    outbox: class extends TableOutbox {
      protected override put({ metadata: _, ...event }: BusEvent) {
        super.put(event)
      }
    },
  },
  "hands over the time as a string": {
    caughtBy: "hands over id, type, occurrence, payload and metadata",
    outbox: class extends TableOutbox {
      override start(handler: Handler, onError: ErrorHandler) {
        super.start((event) => handler(JSON.parse(JSON.stringify(event))), onError)
      }
    },
  },
  "drops empty strings": {
    caughtBy: "brings payloads back as they were",
    outbox: class extends TableOutbox {
      protected override put(event: BusEvent) {
        super.put({ ...event, payload: event.payload || null })
      }
    },
  },
  "keeps the caller's object": {
    caughtBy: "keeps an event as it was when it was published",
    outbox: class extends TableOutbox {
      override store(events: BusEvent[]) {
        super.store(events)
        for (const event of events) this.put(event)
      }
    },
  },
  "delivers in the order of publication": {
    caughtBy: "runs one handler at a time, in the order of occurrence",
    outbox: class extends TableOutbox {
      protected override next() {
        return [...this.table.values()].find(
          ({ status, event }) => status === "created" && event.occurredAt.getTime() <= Date.now(),
        )
      }
    },
  },
  "does not wait for the handler before the next": {
    caughtBy: "runs one handler at a time",
    outbox: class extends TableOutbox {
      protected override async deliver(row: Row) {
        void super.deliver(row)
      }
    },
  },
  "delivers what occurs in the future at once": {
    caughtBy: "delivers an event that occurs in the future then",
    outbox: class extends TableOutbox {
      protected override put(event: BusEvent) {
        super.put(event)
        const row = this.table.get(event.id) as Row
        if (event.occurredAt.getTime() > Date.now()) void this.deliver(row)
      }
    },
  },
  "delivers only what nobody published while it was delivering": {
    caughtBy: "delivers what a handler publishes",
    outbox: class extends TableOutbox {
      private isDelivering = false
      protected override async deliver(row: Row) {
        this.isDelivering = true
        await super.deliver(row)
        this.isDelivering = false
      }
      override store(events: BusEvent[]) {
        if (!this.isDelivering) super.store(events)
      }
    },
  },
}
