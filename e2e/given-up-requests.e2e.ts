/** Requests that the relay gives up: they free their sockets, and are harmless when they arrive late. */
import { expect, onTestFinished, test } from "vitest"
import { clientFor, startFaultyProxy } from "../packages/dynamodb-dev/src/index.ts"
import { someEvent } from "./fixture/events.ts"
import { createTable, endpoint } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { outboxOn, startWorker } from "./fixture/worker.ts"

test("connections that never respond take no worker out, however few sockets it has", {
  timeout: 60_000,
}, async () => {
  const table = await createTable()
  const proxy = await startFaultyProxy(endpoint())
  onTestFinished(() => proxy.stop())
  const client = clientFor(proxy.endpoint, {
    maxAttempts: 1,
    requestHandler: { httpsAgent: { maxSockets: 1 }, httpAgent: { maxSockets: 1 } },
  })
  onTestFinished(() => client.destroy())
  const worker = startWorker(table, { client })
  await until("it polls", () => proxy.connections > 0)
  proxy.halfOpen()
  await outboxOn(table).publish([someEvent({ id: "e1" })])
  await until("it is delivered", async () => (await table.read("e1"))?.status === "completed")
  expect(worker.deliveredIds).toEqual(["e1"])
})
