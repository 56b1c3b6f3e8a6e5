/** Failures of the user's own code: the handler's and onError's. */
import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb"
import { UpdateCommand } from "@aws-sdk/lib-dynamodb"
import { HandlerError } from "outbox-event-bus"
import { expect, onTestFinished, test } from "vitest"
import { someEvent, someEvents } from "./fixture/events.ts"
import { createTable } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { startWorker } from "./fixture/worker.ts"

test("the handler's own ConditionalCheckFailedException is a failure like any other", async () => {
  const table = await createTable()
  const worker = startWorker(table, {
    maxRetries: 2,
    handler: () =>
      table.documents.send(
        new UpdateCommand({
          TableName: table.tableName,
          Key: { id: "stock" },
          UpdateExpression: "SET amount = amount - :one",
          ConditionExpression: "amount >= :one",
          ExpressionAttributeValues: { ":one": 1 },
        }),
      ),
  })
  await worker.outbox.publish([someEvent({ id: "conditional" })])
  await until("it is a dead letter", async () => (await table.read("conditional"))?.status === "failed")
  await until("the last report has come", () => worker.errors.length === 2)
  expect(worker.delivered).toHaveLength(2)
  expect(worker.errors[0]).toBeInstanceOf(HandlerError)
  expect(worker.errors[0]?.cause).toBeInstanceOf(ConditionalCheckFailedException)
  expect(worker.errors[1]?.name).toBe("MaxRetriesExceededError")
  expect(await worker.outbox.getFailedEvents()).toMatchObject([
    { id: "conditional", retryCount: 2, error: "The conditional request failed" },
  ])
})

test.each([
  ["a string", "just text", "just text"],
  ["undefined", undefined, "undefined"],
  ["an object", { code: 7 }, "{ code: 7 }"],
])("a handler may throw %s", async (_name, thrown, message) => {
  const table = await createTable()
  const worker = startWorker(table, { maxRetries: 1, handler: () => Promise.reject(thrown) })
  await worker.outbox.publish([someEvent({ id: "odd" })])
  await until("it is a dead letter", async () => (await table.read("odd"))?.status === "failed")
  expect(await worker.outbox.getFailedEvents()).toMatchObject([{ error: message }])
})

test.each([
  [
    "throws",
    () => {
      throw new Error("onError is broken")
    },
  ],
  ["rejects", () => Promise.reject(new Error("onError is broken"))],
])("an onError that %s changes nothing but a process warning", async (_name, onError) => {
  const warnings: Error[] = []
  const collect = (warning: Error) => void warnings.push(warning)
  process.on("warning", collect)
  onTestFinished(() => void process.off("warning", collect))

  const table = await createTable()
  const worker = startWorker(table, {
    maxRetries: 2,
    onError,
    handler: ({ id }) => {
      if (id === "event-0") throw new Error("no")
    },
  })
  await worker.outbox.publish(someEvents(3))
  await until("all are settled", async () =>
    (await table.all()).every(({ status }) => ["completed", "failed"].includes(status)),
  )
  expect((await table.all()).map(({ id, status }) => `${id} ${status}`).toSorted()).toEqual([
    "event-0 failed",
    "event-1 completed",
    "event-2 completed",
  ])
  await until("both warnings have come", () => warnings.length >= 2)
  expect(warnings).toHaveLength(2)
  for (const { message } of warnings) expect(message).toContain("onError is broken")
})
