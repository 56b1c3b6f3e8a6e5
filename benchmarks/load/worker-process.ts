// A worker in a process of its own, as a fleet has them. Does what its parent says; ends with it.
import { setTimeout as delay } from "node:timers/promises"
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { OutboxEventBus } from "outbox-event-bus"
import { DynamoDBAwsSdkOutbox } from "../../src/index.ts"
import { seeded } from "../chance.ts"
import { EVENT_TYPE, newEvent } from "./backlog.ts"
import type { EmitEvents, FromWorker, StartWork, ToWorker } from "./fleet-protocol.ts"
import { Meter } from "./meter.ts"
import { originalWorker } from "./original.ts"

const TELL_EVERY_MS = 10

let stopWork: (() => Promise<void>) | undefined

process.on("message", (message: ToWorker) => {
  if (message.kind === "start") stopWork = startWork(message)
  else if (message.kind === "emit") void emitEvents(message)
  else void stopWork?.()
})
process.on("disconnect", () => process.exit())
tell({ kind: "ready" })

function startWork({ algorithm, endpoint, tableName }: StartWork): () => Promise<void> {
  const client = clientFor(endpoint)
  const meter = new Meter().attach(client)
  let ids: string[] = []
  const tellHandled = () => {
    if (ids.length > 0) tell({ kind: "handled", ids })
    ids = []
  }
  const timer = setInterval(tellHandled, TELL_EVERY_MS)
  const handler = async ({ id }: { id: string }) => {
    ids.push(id)
  }
  const worker =
    algorithm === "relay"
      ? new OutboxEventBus(new DynamoDBAwsSdkOutbox({ client, tableName }), (error) => {
          throw error
        }).on(EVENT_TYPE, handler)
      : originalWorker({ client, tableName, handler })
  worker.start()
  return async () => {
    await worker.stop()
    clearInterval(timer)
    tellHandled()
    tell({ kind: "stopped", counts: meter.take() })
    client.destroy()
  }
}

async function emitEvents({ endpoint, tableName, count, pauseMs, seed }: EmitEvents): Promise<void> {
  const client = clientFor(endpoint)
  const bus = new OutboxEventBus(new DynamoDBAwsSdkOutbox({ client, tableName }), (error) => {
    throw error
  })
  const draw = seeded(seed)
  for (let i = 0; i < count; i++) {
    await bus.emit(newEvent("300 B", i, new Date()))
    await delay(draw() * pauseMs)
  }
  client.destroy()
  tell({ kind: "emitted" })
}

function tell(message: FromWorker): void {
  // The parent may have ended meanwhile.
  if (process.connected) process.send?.(message)
}
