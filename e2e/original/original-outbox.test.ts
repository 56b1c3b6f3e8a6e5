/** What the imitations send, cell by cell of the table that describes how the original writes. */
import { type DynamoDBDocumentClient, QueryCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { OriginalOutbox, type OriginalOutboxOptions, type OriginalVersion } from "./original-outbox.ts"

const NOW = 1_700_000_000_000

beforeEach(() => {
  vi.useFakeTimers({ now: NOW })
  // No jitter.
  vi.spyOn(Math, "random").mockReturnValue(0.5)
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms)
const item = (id: string, more: object = {}) => ({
  id,
  type: "order.placed",
  payload: { id },
  occurredAt: new Date(NOW - 1000).toISOString(),
  retryCount: 0,
  ...more,
})
const lostCondition = () =>
  Object.assign(new Error("the condition"), { name: "ConditionalCheckFailedException" })

/** A worker whose first poll finds these items, and whose handler takes a second. */
function createWorker(
  version: OriginalVersion,
  found: { stuck?: object[]; due?: object[] },
  options: Partial<OriginalOutboxOptions> = {},
) {
  const send = vi.fn()
  send.mockResolvedValueOnce({ Items: found.stuck ?? [] })
  const answerDue = () => send.mockResolvedValueOnce({ Items: found.due ?? [] })
  if (!found.stuck) answerDue()
  const outbox = new OriginalOutbox({ send } as unknown as DynamoDBDocumentClient, {
    tableName: "outbox",
    version,
    ...options,
  })
  const handler = vi.fn(async (_event: unknown) => pause(1000))
  const onError = vi.fn()
  const commands = () => send.mock.calls.map(([command]) => command as QueryCommand | UpdateCommand)
  return {
    outbox,
    send,
    handler,
    onError,
    start: () => outbox.start(handler, onError),
    commands,
    updates: () => commands().flatMap((command) => (command instanceof UpdateCommand ? [command.input] : [])),
    queries: () => commands().flatMap((command) => (command instanceof QueryCommand ? [command.input] : [])),
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

const CLAIM = {
  UpdateExpression: "SET #status = :active, gsiSortKey = :leaseEnd, startedOn = :polledAt",
  values: { ":active": "active", ":leaseEnd": NOW + 30_000, ":polledAt": NOW },
}

describe.each<OriginalVersion>(["1.0.0", "2.0.3"])("%s", (version) => {
  it("claims with the time of the poll, also the second of a page", async () => {
    const worker = createWorker(version, { due: [item("e1"), item("e2")] })
    worker.start()
    await pass(3000)
    await worker.outbox.stop()
    const claims = worker.updates().filter(({ UpdateExpression }) => UpdateExpression?.includes("startedOn"))
    expect(claims.map(({ Key }) => Key)).toEqual([{ id: "e1" }, { id: "e2" }])
    for (const claim of claims) {
      expect(claim.UpdateExpression).toBe(CLAIM.UpdateExpression)
      expect(claim.ExpressionAttributeValues).toMatchObject(CLAIM.values)
    }
  })

  it("handles the item as the query returned it", async () => {
    const worker = createWorker(version, { due: [item("e1")] })
    worker.send.mockResolvedValueOnce({ Attributes: item("e1", { payload: "newer" }) })
    worker.start()
    await pass(100)
    expect(worker.handler).toHaveBeenCalledExactlyOnceWith({
      id: "e1",
      type: "order.placed",
      payload: { id: "e1" },
      occurredAt: new Date(NOW - 1000),
    })
    await pass(2000)
    await worker.outbox.stop()
  })

  it("completes without a condition", async () => {
    const worker = createWorker(version, { due: [item("e1")] })
    worker.start()
    await pass(1500)
    await worker.outbox.stop()
    const complete = worker.updates()[1]
    expect(complete).toEqual({
      TableName: "outbox",
      Key: { id: "e1" },
      UpdateExpression: "SET #status = :completed, completedOn = :now REMOVE gsiSortKey",
      ExpressionAttributeNames: { "#status": "status" },
      ExpressionAttributeValues: { ":completed": "completed", ":now": NOW + 1000 },
    })
  })

  it.each([
    [0, 1000],
    [3, 8000],
  ])(
    "after %s failures, fails with attempts left: created, due after the backoff, no condition",
    async (retryCount, backoff) => {
      const worker = createWorker(version, { due: [item("e1", { retryCount })] })
      worker.handler.mockRejectedValue(new Error("boom"))
      worker.start()
      await pass(100)
      await worker.outbox.stop()
      expect(worker.updates()[1]).toEqual({
        TableName: "outbox",
        Key: { id: "e1" },
        UpdateExpression: "SET #status = :status, retryCount = :count, lastError = :error, gsiSortKey = :at",
        ExpressionAttributeNames: { "#status": "status" },
        ExpressionAttributeValues: {
          ":status": "created",
          ":count": retryCount + 1,
          ":error": "boom",
          ":at": NOW + backoff,
        },
      })
      expect(worker.onError).toHaveBeenCalledOnce()
    },
  )

  it("fails for the last time: failed, nextRetryAt now, out of the index, no condition", async () => {
    const worker = createWorker(version, { due: [item("e1", { retryCount: 4 })] })
    worker.handler.mockRejectedValue(new Error("boom"))
    worker.start()
    await pass(100)
    await worker.outbox.stop()
    expect(worker.updates()[1]).toEqual({
      TableName: "outbox",
      Key: { id: "e1" },
      UpdateExpression:
        "SET #status = :status, retryCount = :count, lastError = :error, nextRetryAt = :at REMOVE gsiSortKey",
      ExpressionAttributeNames: { "#status": "status" },
      ExpressionAttributeValues: { ":status": "failed", ":count": 5, ":error": "boom", ":at": NOW },
    })
  })

  it("recovers one page, all at once, without condition or report", async () => {
    const stuck = [item("e1"), item("e2", { retryCount: 4 })]
    const worker = createWorker(version, { stuck })
    // None of the writes is answered, and all are sent.
    worker.send.mockReturnValue(new Promise(() => {}))
    worker.start()
    await pass(100)
    expect(worker.queries()).toEqual([
      expect.objectContaining({ ExpressionAttributeValues: { ":status": "active", ":until": NOW } }),
    ])
    expect(worker.updates().map(({ Key }) => Key)).toEqual([{ id: "e1" }, { id: "e2" }])
    expect(worker.updates()[0]?.ExpressionAttributeValues).toMatchObject({
      ":status": "created",
      ":count": 1,
      ":error": "Processing timeout",
    })
    expect(worker.updates()[1]).toMatchObject({
      UpdateExpression: expect.stringContaining("nextRetryAt = :at REMOVE gsiSortKey"),
      ExpressionAttributeValues: { ":status": "failed", ":count": 5, ":error": "Processing timeout" },
    })
    for (const { ConditionExpression } of worker.updates()) expect(ConditionExpression).toBeUndefined()
    expect(worker.onError).not.toHaveBeenCalled()
  })

  it("polls one page of batchSize, handles it one by one, then pauses", async () => {
    const worker = createWorker(version, { due: [item("e1"), item("e2")] }, { batchSize: 2 })
    worker.start()
    await pass(500)
    const [recovery, due] = worker.queries()
    expect(recovery).not.toHaveProperty("Limit")
    expect(due).toEqual({
      TableName: "outbox",
      IndexName: "status-gsiSortKey-index",
      KeyConditionExpression: "#status = :status AND gsiSortKey <= :until",
      ExpressionAttributeNames: { "#status": "status" },
      ExpressionAttributeValues: { ":status": "created", ":until": NOW },
      Limit: 2,
    })
    expect(worker.handler).toHaveBeenCalledTimes(1)
    await pass(1000)
    expect(worker.handler).toHaveBeenCalledTimes(2)
    // Both handlers take a second, the pause another one.
    await pass(1499)
    expect(worker.queries()).toHaveLength(2)
    await pass(1)
    expect(worker.queries()).toHaveLength(4)
    await worker.outbox.stop()
  })

  it("ends the page under way when it is stopped", async () => {
    const worker = createWorker(version, { due: [item("e1"), item("e2")] })
    worker.start()
    const stopping = worker.outbox.stop()
    await pass(5000)
    await stopping
    expect(worker.handler).toHaveBeenCalledTimes(2)
  })
})

describe("the condition of the claim", () => {
  const claimOf = async (version: OriginalVersion) => {
    const worker = createWorker(version, { due: [item("e1")] })
    worker.start()
    await pass(2000)
    await worker.outbox.stop()
    return worker.updates()[0]
  }

  it("1.0.0 has none", async () => {
    expect(await claimOf("1.0.0")).not.toHaveProperty("ConditionExpression")
  })

  it("2.0.3: created, or active with a lease that had expired when it polled", async () => {
    expect(await claimOf("2.0.3")).toMatchObject({
      ConditionExpression: "#status = :created OR (#status = :active AND gsiSortKey <= :polledAt)",
      ExpressionAttributeValues: { ":created": "created", ":active": "active", ":polledAt": NOW },
    })
  })

  it.each(["the claim's", "the handler's own"])(
    "2.0.3 skips an event with %s lost condition",
    async (whose) => {
      const worker = createWorker("2.0.3", { due: [item("e1"), item("e2")] })
      if (whose === "the claim's") worker.send.mockRejectedValueOnce(lostCondition())
      else worker.handler.mockRejectedValueOnce(lostCondition())
      worker.start()
      await pass(3000)
      await worker.outbox.stop()
      expect(
        worker
          .updates()
          .filter(({ ExpressionAttributeValues }) => ":count" in (ExpressionAttributeValues ?? {})),
      ).toEqual([])
      expect(worker.handler).toHaveBeenLastCalledWith(expect.objectContaining({ id: "e2" }))
      expect(worker.onError).not.toHaveBeenCalled()
    },
  )

  it("1.0.0 takes the handler's own lost condition for a failure", async () => {
    const worker = createWorker("1.0.0", { due: [item("e1")] })
    worker.handler.mockRejectedValueOnce(lostCondition())
    worker.start()
    await pass(100)
    await worker.outbox.stop()
    expect(worker.updates()[1]?.ExpressionAttributeValues).toMatchObject({
      ":status": "created",
      ":count": 1,
    })
  })
})
