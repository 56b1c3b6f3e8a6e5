/** A wrong name, a table that is not there yet, a database that can't be reached: reported clearly, and over by itself. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { UpdateTableCommand } from "@aws-sdk/client-dynamodb"
import { ConfigurationError } from "outbox-event-bus"
import { expect, onTestFinished, test } from "vitest"
import { clientFor } from "../packages/dynamodb-dev/src/index.ts"
import { someEvent } from "./fixture/events.ts"
import { createTable, endpoint, TestTable } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { startWorker } from "./fixture/worker.ts"

test("a missing table is reported as such, and delivery begins when it appears", async () => {
  const table = new TestTable(`not-yet-${Date.now()}`)
  const worker = startWorker(table)
  const [error] = await until("the poll is reported", () => worker.errors.length > 0 && worker.errors)
  expect(error).toBeInstanceOf(ConfigurationError)
  expect(error?.message).toContain(`There is no table "${table.tableName}"`)
  expect(error?.cause).toMatchObject({ name: "ResourceNotFoundException" })
  await expect(worker.outbox.publish([someEvent()])).rejects.toMatchObject({
    name: "ResourceNotFoundException",
  })
  await expect(worker.outbox.getFailedEvents()).rejects.toMatchObject({ name: "ResourceNotFoundException" })

  await table.create()
  await worker.outbox.publish([someEvent({ id: "first" })])
  await until("it is delivered", () => worker.deliveredIds.includes("first"))
})

test("a wrong index name is reported as such, and delivery begins when the index appears", async () => {
  const table = await createTable({ indexName: "another-index" })
  const worker = startWorker(table)
  await worker.outbox.publish([someEvent({ id: "waiting" })])
  const [error] = await until("the poll is reported", () => worker.errors.length > 0 && worker.errors)
  expect(error).toBeInstanceOf(ConfigurationError)
  expect(error?.message).toContain('has no index "status-gsiSortKey-index"; it has "another-index"')
  expect(error?.cause).toMatchObject({
    name: expect.stringMatching(/ValidationException|ResourceNotFoundException/),
  })

  await table.documents.send(
    new UpdateTableCommand({
      TableName: table.tableName,
      AttributeDefinitions: [
        { AttributeName: "status", AttributeType: "S" },
        { AttributeName: "gsiSortKey", AttributeType: "N" },
      ],
      GlobalSecondaryIndexUpdates: [
        {
          Create: {
            IndexName: "status-gsiSortKey-index",
            KeySchema: [
              { AttributeName: "status", KeyType: "HASH" },
              { AttributeName: "gsiSortKey", KeyType: "RANGE" },
            ],
            Projection: { ProjectionType: "KEYS_ONLY" },
          },
        },
      ],
    }),
  )
  await until("it is delivered", () => worker.deliveredIds.includes("waiting"))
})

test("polls that fail are backed off, each poll reported once by what failed in it", async () => {
  const table = new TestTable(`never-${Date.now()}`)
  const client = clientFor("http://127.0.0.1:1", { maxAttempts: 1 })
  onTestFinished(() => client.destroy())
  const worker = startWorker(table, { client, baseBackoffMs: 40, maxErrorBackoffMs: 3_600_000 })
  const startedAt = Date.now()
  await until(
    "three polls have failed",
    () => worker.errors.filter(({ name }) => name === "OperationalError").length === 3,
  )
  expect(Date.now() - startedAt).toBeGreaterThanOrEqual(0.9 * (80 + 160))
  expect(worker.errors.map(({ name }) => name)).toEqual(
    [1, 2, 3].flatMap(() => ["MaintenanceError", "OperationalError"]),
  )
})

test("an unreachable database is reported, stop ends all the same, and delivery begins when it is there", async () => {
  const table = await createTable()
  const port = await freePort()
  const client = clientFor(`http://127.0.0.1:${port}`, { maxAttempts: 1 })
  onTestFinished(() => client.destroy())
  const worker = startWorker(table, { client })
  const error = await until("it is reported", () =>
    worker.errors.find(({ message }) => message === "Polling cycle failed"),
  )
  expect((error.cause as { code?: string }).code).toBe("ECONNREFUSED")
  await worker.outbox.stop()

  const next = startWorker(table, { client })
  await until("it is reported again", () => next.errors.length > 0)
  await forward(port, new URL(endpoint()))
  await until("it can be published", () =>
    next.outbox.publish([someEvent({ id: "late" })]).then(
      () => true,
      () => false,
    ),
  )
  await until("it is completed", async () => (await table.read("late"))?.status === "completed")
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Lets the database appear at `port`. */
async function forward(port: number, target: URL): Promise<void> {
  const sockets = new Set<Socket>()
  const server = createServer((inbound) => {
    const outbound = connect(Number(target.port), target.hostname)
    for (const socket of [inbound, outbound]) {
      sockets.add(socket)
      socket.on("error", () => socket.destroy())
    }
    inbound.pipe(outbound).pipe(inbound)
  })
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
}
