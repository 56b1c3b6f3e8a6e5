/** `publish`: what is sent or pushed, by which collector, and what is refused. */
import { TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import {
  type DynamoDBAwsSdkTransactionCollector,
  getDynamoDBAwsSdkCollector,
  type TransactWriteItem,
  withDynamoDBAwsSdkTransaction,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { BatchSizeLimitError, type BusEvent, ValidationError } from "outbox-event-bus"
import { describe, expect, it } from "vitest"
import { createMockedOutbox } from "./mocked-client.ts"
import { anEvent } from "./recording-outbox.ts"

const events = (count: number) => Array.from({ length: count }, (_, index) => anEvent({ id: `e${index}` }))

const storedIn = (items: readonly TransactWriteItem[] | undefined) => items?.map(({ Put }) => Put?.Item)

function createCollector(): Required<DynamoDBAwsSdkTransactionCollector> {
  const items: TransactWriteItem[] = []
  return { items, push: (item) => void items.push(item) }
}

it("sends nothing for no events", async () => {
  const { outbox, send } = createMockedOutbox()
  await outbox.publish([])
  expect(send).not.toHaveBeenCalled()
})

it.each([1, 100])(
  "sends %s event(s) in one TransactWriteCommand, as the one argument of send",
  async (count) => {
    const { outbox, send } = createMockedOutbox()
    await outbox.publish(events(count))
    expect(send).toHaveBeenCalledExactlyOnceWith(expect.any(TransactWriteCommand))
    expect(send.mock.lastCall?.[0].input.TransactItems).toHaveLength(count)
  },
)

it("stores an event with the attributes of the original, and never over another one", async () => {
  const { outbox, send } = createMockedOutbox()
  const occurredAt = new Date("2024-01-01T00:00:00.000Z")
  await outbox.publish([anEvent({ occurredAt, metadata: { traceId: "t" } })])
  expect(send.mock.lastCall?.[0].input.TransactItems).toEqual([
    {
      Put: {
        TableName: "outbox",
        Item: {
          id: "event-1",
          type: "order.placed",
          payload: { orderId: "42" },
          metadata: { traceId: "t" },
          occurredAt: "2024-01-01T00:00:00.000Z",
          status: "created",
          retryCount: 0,
          gsiSortKey: occurredAt.getTime(),
        },
        ConditionExpression: "attribute_not_exists(id)",
      },
    },
  ])
})

it("drops undefined values, functions and symbols, as JSON does", async () => {
  const { outbox, send } = createMockedOutbox()
  const payload = { kept: 1, gone: undefined, run: () => 1, mark: Symbol("mark"), list: [1, undefined] }
  await outbox.publish([anEvent({ payload }), anEvent({ id: "event-2", payload: undefined })])
  const [first, second] = storedIn(send.mock.lastCall?.[0].input.TransactItems) ?? []
  expect(Object.keys(first?.payload)).toEqual(["kept", "list"])
  expect(second).toMatchObject({ id: "event-2" })
})

describe("refuses what a transaction can't hold, with nothing sent or pushed:", () => {
  it("more than 100 events", async () => {
    const { outbox, send } = createMockedOutbox()
    const refused = outbox.publish(events(101))
    await expect(refused).rejects.toThrow(BatchSizeLimitError)
    await expect(refused).rejects.toThrow("Cannot publish 101 events because the batch size limit is 100.")
    expect(send).not.toHaveBeenCalled()
  })

  it.each(["collector", "bare array"])("more than 100 items together with those of a %s", async (kind) => {
    const { outbox, send } = createMockedOutbox()
    const { items, push } = createCollector()
    const collector = kind === "bare array" ? items : { items, push }
    await outbox.publish(events(60), collector)
    const others = events(41).map((event) => ({ ...event, id: `other-${event.id}` }))
    const refused = outbox.publish(others, collector)
    await expect(refused).rejects.toThrow(BatchSizeLimitError)
    await expect(refused).rejects.toMatchObject({ context: { limit: 100, actual: 101 } })
    expect(items).toHaveLength(60)
    expect(send).not.toHaveBeenCalled()
  })
})

describe("pushes one Put per event and sends nothing, with", () => {
  const published = events(2)
  const ids = ["e0", "e1"]

  it("a collector as argument", async () => {
    const { outbox, send } = createMockedOutbox()
    const collector = createCollector()
    await outbox.publish(published, collector)
    expect(storedIn(collector.items)).toMatchObject(ids.map((id) => ({ id })))
    expect(send).not.toHaveBeenCalled()
  })

  it("a collector without items", async () => {
    const { outbox, send } = createMockedOutbox()
    const pushed: TransactWriteItem[] = []
    await outbox.publish(published, { push: (item) => void pushed.push(item) })
    expect(storedIn(pushed)).toMatchObject(ids.map((id) => ({ id })))
    expect(send).not.toHaveBeenCalled()
  })

  it("a bare array", async () => {
    const { outbox, send } = createMockedOutbox()
    const array: TransactWriteItem[] = []
    await outbox.publish(published, array)
    expect(storedIn(array)).toMatchObject(ids.map((id) => ({ id })))
    expect(send).not.toHaveBeenCalled()
  })

  it("getCollector", async () => {
    const collector = createCollector()
    const { outbox, send } = createMockedOutbox({ getCollector: () => collector })
    await outbox.publish(published)
    expect(storedIn(collector.items)).toMatchObject(ids.map((id) => ({ id })))
    expect(send).not.toHaveBeenCalled()
  })

  it("an argument, although there is getCollector", async () => {
    const found = createCollector()
    const given = createCollector()
    const { outbox } = createMockedOutbox({ getCollector: () => found })
    await outbox.publish(published, given)
    expect(found.items).toEqual([])
    expect(given.items).toHaveLength(2)
  })

  it("the helper", async () => {
    const { outbox, send } = createMockedOutbox({ getCollector: getDynamoDBAwsSdkCollector() })
    const items = await withDynamoDBAwsSdkTransaction(async (collector) => {
      await outbox.publish(published)
      return collector.items
    })
    expect(storedIn(items)).toMatchObject(ids.map((id) => ({ id })))
    expect(send).not.toHaveBeenCalled()
  })
})

it("sends, with a getCollector that finds none", async () => {
  const { outbox, send } = createMockedOutbox({ getCollector: () => undefined })
  await outbox.publish([anEvent()])
  expect(send).toHaveBeenCalledOnce()
})

it("names the ids that are in the table already", async () => {
  const { outbox, send } = createMockedOutbox()
  send.mockRejectedValueOnce(
    Object.assign(new Error("cancelled"), {
      name: "TransactionCanceledException",
      CancellationReasons: [{ Code: "None" }, { Code: "ConditionalCheckFailed" }],
    }),
  )
  const refused: Promise<void> = outbox.publish(events(2) as BusEvent[])
  await expect(refused).rejects.toThrow(ValidationError)
  await expect(refused).rejects.toThrow(/e1/)
})
