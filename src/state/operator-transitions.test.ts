/** What operators write, by its exact input: every clause of a condition is here, so taking one away fails a test. */
import { expect, it } from "vitest"
import * as transitions from "./operator-transitions.ts"

const Key = { id: "e1" }
const TableName = "outbox"
const AN_EVENT = "(attribute_exists(#occurredAt) OR attribute_exists(#retryCount))"
const names = (...attributes: string[]) => Object.fromEntries(attributes.map((name) => [`#${name}`, name]))

it("retry: only what is failed; due now, with all attempts before it and no trace of the failure", () => {
  expect(transitions.retry(TableName, "e1", 1000)).toEqual({
    TableName,
    Key,
    UpdateExpression:
      "SET #status = :set_status, #retryCount = :set_retryCount, #gsiSortKey = :set_gsiSortKey " +
      "REMOVE #lastError, #nextRetryAt, #startedOn, #crashCount",
    ConditionExpression: `#status = :failed AND ${AN_EVENT}`,
    ExpressionAttributeNames: names(
      "status",
      "occurredAt",
      "retryCount",
      "gsiSortKey",
      "lastError",
      "nextRetryAt",
      "startedOn",
      "crashCount",
    ),
    ExpressionAttributeValues: {
      ":set_status": "created",
      ":set_retryCount": 0,
      ":set_gsiSortKey": 1000,
      ":failed": "failed",
    },
  })
})

it("discard: only what is failed; leaves the index, and says when and why", () => {
  expect(transitions.discard(TableName, "e1", "obsolete", 1000, { kind: "keep" })).toEqual({
    TableName,
    Key,
    UpdateExpression:
      "SET #status = :set_status, #completedOn = :set_completedOn, #discardedOn = :set_discardedOn, " +
      "#discardReason = :set_discardReason REMOVE #gsiSortKey, #claimToken, #nextRetryAt, #crashCount",
    ConditionExpression: `#status = :failed AND ${AN_EVENT}`,
    ExpressionAttributeNames: names(
      "status",
      "completedOn",
      "discardedOn",
      "discardReason",
      "gsiSortKey",
      "claimToken",
      "nextRetryAt",
      "crashCount",
      "occurredAt",
      "retryCount",
    ),
    ExpressionAttributeValues: {
      ":set_status": "completed",
      ":set_completedOn": 1000,
      ":set_discardedOn": 1000,
      ":set_discardReason": "obsolete",
      ":failed": "failed",
    },
  })
})

it("discard, where delivered events expire or are deleted: the same becomes of it", () => {
  const expiring = { kind: "expire", afterMs: 5000, attribute: "ttl" } as const
  expect(
    transitions.discard(TableName, "e1", "obsolete", 1000, expiring).ExpressionAttributeValues,
  ).toMatchObject({
    ":set_ttl": 6,
  })
  expect(transitions.discardAndDelete(TableName, "e1")).toEqual({
    TableName,
    Key,
    ConditionExpression: `#status = :failed AND ${AN_EVENT}`,
    ExpressionAttributeNames: names("status", "occurredAt", "retryCount"),
    ExpressionAttributeValues: { ":failed": "failed" },
  })
})

it("restore: only what is failed and not in the index; changes nothing else", () => {
  expect(transitions.restore(TableName, "e1", 100)).toEqual({
    TableName,
    Key,
    UpdateExpression: "SET #status = :set_status, #gsiSortKey = :set_gsiSortKey",
    ConditionExpression: `#status = :failed AND attribute_not_exists(#gsiSortKey) AND ${AN_EVENT}`,
    ExpressionAttributeNames: names("status", "gsiSortKey", "occurredAt", "retryCount"),
    ExpressionAttributeValues: { ":set_status": "failed", ":set_gsiSortKey": 100, ":failed": "failed" },
  })
})

it("purge: only what was completed before", () => {
  expect(transitions.purge(TableName, "e1", 1000)).toEqual({
    TableName,
    Key,
    ConditionExpression: "#status = :completed AND #completedOn < :completedBefore",
    ExpressionAttributeNames: names("status", "completedOn"),
    ExpressionAttributeValues: { ":completed": "completed", ":completedBefore": 1000 },
  })
})
