// Owns the ways a backlog is drained, each timed from its start until the last event is settled, with a client of its
// own: by the relay, by the original's algorithm, and by a bare loop, which is the limit.
import { randomUUID } from "node:crypto"
import { setTimeout as delay } from "node:timers/promises"
import { UpdateCommand } from "@aws-sdk/lib-dynamodb"
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { type BusEvent, OutboxEventBus } from "outbox-event-bus"
import { documentClientFor } from "../../src/database/document-client.ts"
import { DynamoDBAwsSdkOutbox } from "../../src/index.ts"
import * as transitions from "../../src/state/transitions.ts"
import { EVENT_TYPE } from "./backlog.ts"
import { originalWorker } from "./original.ts"

export interface Backlog {
  endpoint: string
  tableName: string
  events: readonly BusEvent[]
}

export interface Drained {
  eventsPerSecond: number
  /** Of the process that drains, user and system; the engine's own is not in it. */
  cpuMsPerEvent: number
  /** Ids in the order in which their handlers began. */
  handled: string[]
}

const LEASE_MS = 30_000

/** The relay, as users run it: an outbox behind a bus. Ends with `stop()`, which waits until all is settled. */
export async function drainByRelay(
  { endpoint, tableName, events }: Backlog,
  {
    handlerMs,
    concurrency,
    prepare = () => {},
  }: { handlerMs: number; concurrency?: number; prepare?: (outbox: DynamoDBAwsSdkOutbox) => void },
): Promise<Drained> {
  const client = clientFor(endpoint)
  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName, ...(concurrency && { concurrency }) })
  prepare(outbox)
  const handled: string[] = []
  const measured = await timed(events.length, async () => {
    await new Promise<void>((resolve, reject) => {
      const bus = new OutboxEventBus(outbox, reject)
      bus.on(EVENT_TYPE, async ({ id }) => {
        handled.push(id)
        if (handlerMs > 0) await delay(handlerMs)
        if (handled.length >= events.length) resolve()
      })
      bus.start()
    })
    await outbox.stop()
  })
  client.destroy()
  return { ...measured, handled }
}

/**
 * The limit: claim and complete of each event, the very inputs the relay sends, through the same kind of document client,
 * and nothing else: no reading of the index, no order, no leases.
 */
export async function drainByBareLoop(
  { endpoint, tableName, events }: Backlog,
  inFlight: number,
): Promise<Drained> {
  const client = clientFor(endpoint)
  const documents = documentClientFor(client)
  const handled: string[] = []
  let next = 0
  const loop = async () => {
    while (next < events.length) {
      const { id, occurredAt: at } = events[next++] as BusEvent
      const event = { id, occurredAt: at.toISOString() }
      const now = Date.now()
      const hold = { id, token: randomUUID(), leaseEndsAt: now + LEASE_MS, dueAt: now }
      await documents.send(new UpdateCommand(transitions.claim(tableName, hold, now)))
      handled.push(id)
      await documents.send(new UpdateCommand(transitions.complete(tableName, event, Date.now())))
    }
  }
  const measured = await timed(events.length, async () => {
    await Promise.all(Array.from({ length: inFlight }, loop))
  })
  client.destroy()
  return { ...measured, handled }
}

/**
 * The original's algorithm. It pauses a second after each page, so a long backlog would take minutes and tell nothing
 * more: the rate is that of whole cycles, from the first poll to the first one that finds nothing.
 */
export async function drainByOriginal(
  { endpoint, tableName, events }: Backlog,
  { handlerMs }: { handlerMs: number },
): Promise<Drained> {
  const client = clientFor(endpoint)
  const handled: string[] = []
  let worker: ReturnType<typeof originalWorker> | undefined
  const measured = await timed(events.length, async () => {
    await new Promise<void>((resolve) => {
      worker = originalWorker({
        client,
        tableName,
        handler: async ({ id }) => {
          handled.push(id)
          if (handlerMs > 0) await delay(handlerMs)
        },
        onPoll: () => {
          if (handled.length >= events.length) resolve()
        },
      })
      worker.start()
    })
  })
  await worker?.stop()
  client.destroy()
  return { ...measured, handled }
}

async function timed(count: number, work: () => Promise<void>): Promise<Omit<Drained, "handled">> {
  const cpuBefore = process.cpuUsage()
  const start = performance.now()
  await work()
  const ms = performance.now() - start
  const { user, system } = process.cpuUsage(cpuBefore)
  return { eventsPerSecond: (count / ms) * 1000, cpuMsPerEvent: (user + system) / 1000 / count }
}
