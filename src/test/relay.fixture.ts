/** A relay on a table in memory, under a fake clock, with a handler that is watched. */
import type { BusEvent } from "outbox-event-bus"
import { Relay } from "../delivery/relay.ts"
import { EventTable, LEASE_MS } from "./event-operations.fixture.ts"

export const names = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `e${String(i).padStart(4, "0")}`)

export function createRelay({
  concurrency = 1,
  batchSize = 50,
  maxRetries = 5,
  table = new EventTable(),
  requestPoll = () => {},
}: {
  concurrency?: number
  batchSize?: number
  maxRetries?: number
  table?: EventTable
  requestPoll?: () => void
} = {}) {
  const life = table.life()
  const relay = new Relay(
    life,
    { concurrency, batchSize, maxRetries, processingTimeoutMs: LEASE_MS },
    requestPoll,
  )
  /** Ids in the order in which their handlers started. */
  const started: string[] = []
  const running = new Set<string>()
  const seen = { /** The most handlers that ran at once. */ most: 0 }
  let work: (event: BusEvent) => Promise<void> = async () => {}
  const handler = async (event: BusEvent): Promise<void> => {
    started.push(event.id)
    running.add(event.id)
    seen.most = Math.max(seen.most, running.size)
    try {
      await work(event)
    } finally {
      running.delete(event.id)
    }
  }
  return {
    table,
    life,
    relay,
    started,
    running,
    seen,
    /** What the handler does. */
    onEvent: (does: typeof work) => {
      work = does
    },
    poll: (until = performance.now() + 60_000) => relay.handleDue(handler, until),
    handler,
  }
}
