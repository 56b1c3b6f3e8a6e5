// Outboxes that break a promise about starting and stopping. The suite must catch every one of them.

import { setTimeout as delay } from "node:timers/promises"
import type { BusEvent } from "../event.ts"
import type { ErrorHandler } from "../outbox.ts"
import { type BrokenOutboxes, type Handler, type Row, type Run, TableOutbox } from "./table-outbox.fixture.ts"

export const BROKEN_LIFECYCLE: BrokenOutboxes = {
  "delivers before start": {
    caughtBy: "delivers nothing before start",
    outbox: class extends TableOutbox {
      override async publish(events: BusEvent[], transaction?: BusEvent[]) {
        await super.publish(events, transaction)
        this.run ??= { isOver: false, ended: this.loop({ isOver: false, ended: Promise.resolve() }) }
      }
    },
  },
  "hangs in a stop before start": {
    caughtBy: "can be stopped before it was started",
    outbox: class extends TableOutbox {
      override async stop() {
        await (this.run ? super.stop() : new Promise(() => {}))
      }
    },
  },
  "stops without waiting": {
    caughtBy: "waits for the running handler before a stop resolves",
    outbox: class extends TableOutbox {
      override async stop() {
        if (this.run) this.run.isOver = true
      }
    },
  },
  "waits in the first stop alone": {
    caughtBy: "waits for the running handler before a stop resolves",
    outbox: class extends TableOutbox {
      override async stop() {
        if (!this.run?.isOver) await super.stop()
      }
    },
  },
  "goes on for a while after stop": {
    caughtBy: "starts no further handler once it is being stopped",
    outbox: class extends TableOutbox {
      override async stop() {
        const ended = this.run?.ended
        setTimeout(() => void super.stop(), 60)
        await Promise.race([ended, delay(10)])
      }
    },
  },
  "counts what it releases as failed": {
    caughtBy: "starts no further handler once it is being stopped",
    outbox: class extends TableOutbox {
      override async stop() {
        await super.stop()
        const row = this.next()
        if (row) this.fail(row, new Error("stopped"))
      }
    },
  },
  "is stopped before its first poll": {
    caughtBy: "makes progress each time it is stopped right after its start",
    outbox: class extends TableOutbox {
      protected override async loop(run: Run, previous?: Promise<void>) {
        await previous
        if (!run.isOver) await super.loop(run)
      }
    },
  },
  "leaves events behind although it claims to drain": {
    caughtBy: "delivers what is queued before a stop resolves",
    claims: { drainsOnStop: true },
    outbox: TableOutbox,
  },
  "loses what is published while it is stopped": {
    caughtBy: "keeps what is published while it is stopped",
    outbox: class extends TableOutbox {
      override store(events: BusEvent[]) {
        if (!this.run?.isOver) super.store(events)
      }
    },
  },
  "stays with its first handler": {
    caughtBy: "gives events to the handler and the onError of the latest start",
    outbox: class extends TableOutbox {
      private first: [Handler, ErrorHandler] | undefined
      override start(handler: Handler, onError: ErrorHandler) {
        this.first ??= [handler, onError]
        super.start(...this.first)
      }
    },
  },
  "runs two loops when started twice": {
    caughtBy: "delivers once although it is started",
    outbox: class extends TableOutbox {
      override start(handler: Handler, onError: ErrorHandler) {
        this.run = undefined
        super.start(handler, onError)
      }
      protected override async deliver(row: Row) {
        // Claims too late.
        await new Promise(setImmediate)
        await super.deliver(row)
      }
    },
  },
  "runs two loops when started before its stop has resolved": {
    caughtBy: "delivers once although it is started again before its stop has resolved",
    outbox: class extends TableOutbox {
      protected override loop(run: Run) {
        return super.loop(run)
      }
    },
  },
  "drops dead letters when it stops": {
    caughtBy: "keeps dead letters over a stop",
    outbox: class extends TableOutbox {
      override async stop() {
        await super.stop()
        for (const [id, { status }] of this.table) if (status === "failed") this.table.delete(id)
      }
    },
  },
}
