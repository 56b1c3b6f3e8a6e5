// How to test a function on the stream, and a sweeper.
// #region test
import { createStreamHandler } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/lambda"
import { TestOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/testing"
import { OutboxEventBus } from "outbox-event-bus"
import { expect, it } from "vitest"

it("delivers a new event, and leaves a failed one to the sweeper", async () => {
  const outbox = new TestOutbox({ polling: false })
  const bus = new OutboxEventBus(outbox, () => {})
  let isBroken = true
  bus.on("order.placed", async () => {
    if (isBroken) throw new Error("no carrier")
  })
  bus.start()
  await bus.emit({ id: "e1", type: "order.placed", payload: { orderId: "42" } })

  const record = {
    eventName: "INSERT",
    dynamodb: { Keys: { id: { S: "e1" } }, SequenceNumber: "1" },
  } as const
  const context = { getRemainingTimeInMillis: () => 10_000 }
  const handler = createStreamHandler(outbox)
  expect(await handler({ Records: [record] }, context)).toEqual({ batchItemFailures: [] })
  expect(outbox.delivered).toEqual([])

  isBroken = false
  expect(await outbox.drain()).toMatchObject({ delivered: 1, reason: "empty" })
  await bus.stop()
})
// #endregion
