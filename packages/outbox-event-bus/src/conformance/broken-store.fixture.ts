// Outboxes that break a promise about ids, several workers or transactions. The suite must catch every one of them.

import type { BusEvent } from "../event.ts"
import { type BrokenOutboxes, type Row, TableOutbox } from "./table-outbox.fixture.ts"

export const BROKEN_STORE: BrokenOutboxes = {
  "overwrites an event with a second of its id": {
    caughtBy: "refuses an id that is published already",
    outbox: class extends TableOutbox {
      override store(events: BusEvent[]) {
        for (const event of events) this.put(structuredClone(event))
      }
    },
  },
  "stores half a batch": {
    caughtBy: "refuses an id that is published already",
    outbox: class extends TableOutbox {
      override store(events: BusEvent[]) {
        for (const event of events) super.store([event])
      }
    },
  },
  "takes a batch with an id that occurs twice": {
    caughtBy: "refuses events of one id in one publish",
    outbox: class extends TableOutbox {
      override store(events: BusEvent[]) {
        super.store([...new Map(events.map((event) => [event.id, event])).values()])
      }
    },
  },
  "does not claim an event before it delivers": {
    caughtBy: "delivers each event by one of several outboxes, exactly once",
    outbox: class extends TableOutbox {
      protected override async deliver(row: Row) {
        await new Promise(setImmediate)
        await super.deliver(row)
      }
    },
  },
  "knows only its own dead letters": {
    caughtBy: "shows and retries the dead letters of another outbox",
    outbox: class extends TableOutbox {
      private readonly own = new Set<Row>()
      protected override fail(row: Row, error: unknown) {
        this.own.add(row)
        super.fail(row, error)
      }
      override async getFailedEvents() {
        const own = new Set([...this.own].map(({ event }) => event.id))
        return (await super.getFailedEvents()).filter(({ id }) => own.has(id))
      }
    },
  },
  "keeps its hold on events when it stops": {
    caughtBy: "leaves the rest to another outbox when it is stopped",
    outbox: class extends TableOutbox {
      private readonly held: Row[] = []
      protected override next() {
        for (let row = super.next(); row; row = super.next()) {
          row.status = "active"
          this.held.push(row)
        }
        return this.held.shift()
      }
    },
  },
  "delivers before the commit": {
    caughtBy: "delivers what was published in a transaction when that is committed",
    outbox: class extends TableOutbox {
      override async publish(events: BusEvent[]) {
        this.store(events)
      }
    },
  },
  "stores half a transaction": {
    caughtBy: "delivers what was published in a transaction when that is committed",
    outbox: class extends TableOutbox {
      override async publish(events: BusEvent[], transaction?: BusEvent[]) {
        if (transaction) transaction.length = 0
        await super.publish(events, transaction)
      }
    },
  },
  "delivers what was given up": {
    caughtBy: "never delivers what was published in a transaction that was given up",
    outbox: class extends TableOutbox {
      private pending: BusEvent[] = []
      override async publish(events: BusEvent[], transaction?: BusEvent[]) {
        if (transaction) this.pending.push(...events)
        else this.store([...this.pending.splice(0), ...events])
      }
    },
  },
}
