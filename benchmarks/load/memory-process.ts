// A worker in a process of its own that watches its memory and CPU: warms up on one table, then drains another. Run with
// --expose-gc; arguments: endpoint, warm-up table, its events, table, its events.
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { OutboxEventBus } from "outbox-event-bus"
import { DynamoDBAwsSdkOutbox } from "../../src/index.ts"
import { EVENT_TYPE } from "./backlog.ts"

export interface MemoryReport {
  /** After the warm-up, half-way, and at the end; each after a garbage collection. Megabytes. */
  heapBefore: number
  heapHalfWay: number
  heapAfter: number
  /** Resident memory after the warm-up, and the most that was seen. Megabytes. */
  rssBefore: number
  rssHighest: number
  cpuMsPerEvent: number
  eventsPerSecond: number
}

const MEGABYTE = 1024 * 1024
const LOOK_EVERY_MS = 50

const [endpoint = "", warmUpTable = "", warmUpEvents, tableName = "", events] = process.argv.slice(2)

await drain(warmUpTable, Number(warmUpEvents))
process.send?.(await watchedDrain(tableName, Number(events)))
process.disconnect()

async function watchedDrain(table: string, count: number): Promise<MemoryReport> {
  const heapBefore = liveHeap()
  const rssBefore = process.memoryUsage.rss() / MEGABYTE
  let rssHighest = rssBefore
  const timer = setInterval(() => {
    rssHighest = Math.max(rssHighest, process.memoryUsage.rss() / MEGABYTE)
  }, LOOK_EVERY_MS)
  let heapHalfWay = 0
  const cpu = process.cpuUsage()
  const start = performance.now()
  await drain(table, count, (handled) => {
    if (handled === Math.floor(count / 2)) heapHalfWay = liveHeap()
  })
  const ms = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  clearInterval(timer)
  return {
    heapBefore,
    heapHalfWay,
    heapAfter: liveHeap(),
    rssBefore,
    rssHighest,
    cpuMsPerEvent: (user + system) / 1000 / count,
    eventsPerSecond: (count / ms) * 1000,
  }
}

async function drain(table: string, count: number, onHandled = (_handled: number) => {}): Promise<void> {
  const client = clientFor(endpoint)
  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: table })
  await new Promise<void>((resolve, reject) => {
    let handled = 0
    const bus = new OutboxEventBus(outbox, reject)
    bus.on(EVENT_TYPE, async () => {
      onHandled(++handled)
      if (handled >= count) resolve()
    })
    bus.start()
  })
  await outbox.stop()
  client.destroy()
}

function liveHeap(): number {
  if (!globalThis.gc) throw new Error("Run with --expose-gc.")
  globalThis.gc()
  return process.memoryUsage().heapUsed / MEGABYTE
}
