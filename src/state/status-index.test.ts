import { describe, expect, it } from "vitest"
import { toPage } from "../database/requests.ts"
import { dueEvents, failedEvents, stuckEvents } from "./status-index.ts"

const index = { tableName: "outbox", statusIndexName: "status-gsiSortKey-index" }
const common = {
  TableName: "outbox",
  IndexName: "status-gsiSortKey-index",
  ExpressionAttributeNames: { "#status": "status" },
}

describe("due events", () => {
  const due = { ...common, ProjectionExpression: "id, gsiSortKey" }

  it("are those created and due by now, the longest due first, with their keys only", () => {
    expect(dueEvents(index, 1000, { limit: 50 })).toEqual({
      ...due,
      KeyConditionExpression: "#status = :status AND gsiSortKey <= :now",
      ExpressionAttributeValues: { ":status": "created", ":now": 1000 },
      Limit: 50,
    })
  })

  it("can be read on from where the page before ended", () => {
    const startAfter = { id: "e1", status: "created", gsiSortKey: 5 }
    expect(dueEvents(index, 1000, { limit: 1, startAfter })).toEqual({
      ...due,
      KeyConditionExpression: "#status = :status AND gsiSortKey <= :now",
      ExpressionAttributeValues: { ":status": "created", ":now": 1000 },
      Limit: 1,
      ExclusiveStartKey: startAfter,
    })
  })

  it.each([0, -5, 300])("can be read from a due time on: %d", (from) => {
    expect(dueEvents(index, 1000, { limit: 50, from })).toEqual({
      ...due,
      KeyConditionExpression: "#status = :status AND gsiSortKey BETWEEN :from AND :now",
      ExpressionAttributeValues: { ":status": "created", ":from": from, ":now": 1000 },
      Limit: 50,
    })
  })

  it("can be read from the newest end", () => {
    expect(dueEvents(index, 1000, { limit: 1, newestFirst: true })).toMatchObject({
      ScanIndexForward: false,
      Limit: 1,
    })
  })
})

it("stuck events are those active whose lease has expired, with all that the index carries", () => {
  const startAfter = { id: "e1" }
  expect(stuckEvents(index, 1000, { limit: 50, startAfter })).toEqual({
    ...common,
    KeyConditionExpression: "#status = :status AND gsiSortKey <= :now",
    ExpressionAttributeValues: { ":status": "active", ":now": 1000 },
    Limit: 50,
    ExclusiveStartKey: startAfter,
  })
})

it("failed events come whenever they occurred, the newest first", () => {
  expect(failedEvents(index, { limit: 100, startAfter: undefined })).toEqual({
    ...common,
    KeyConditionExpression: "#status = :status",
    ExpressionAttributeValues: { ":status": "failed" },
    Limit: 100,
    ScanIndexForward: false,
  })
})

describe("a query's answer", () => {
  it("has rows and the place where the next page starts", () => {
    const Items = [{ id: "e1" }]
    expect(toPage({ Items })).toEqual({ rows: Items })
    expect(toPage({ Items, LastEvaluatedKey: { id: "e1" } })).toEqual({ rows: Items, next: { id: "e1" } })
    expect(toPage({ LastEvaluatedKey: { id: "e1" } })).toEqual({ rows: [], next: { id: "e1" } })
  })

  it("is empty where it is missing, as from a mocked client that has run out", () => {
    expect(toPage(undefined)).toEqual({ rows: [] })
    expect(toPage({})).toEqual({ rows: [] })
  })
})
