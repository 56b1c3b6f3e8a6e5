/** Each write by its exact input: every clause of a condition is here, so taking one away fails a test. */
import { EventStatus } from "outbox-event-bus"
import { describe, expect, it } from "vitest"
import { type Item, toItem } from "../item/event-item.ts"
import { holds, updated } from "../testing/expression.ts"
import * as operator from "./operator-transitions.ts"
import type { FailedAttempt, Lease } from "./transitions.ts"
import * as transitions from "./transitions.ts"

const OCCURRED = "2026-01-01T00:00:00.000Z"
const lease: Lease = { id: "e1", token: "t1", leaseEndsAt: 2000, dueAt: 900 }
const Key = { id: "e1" }
const TableName = "outbox"

const retried: FailedAttempt = { status: EventStatus.CREATED, retryCount: 2, error: "boom", gsiSortKey: 5000 }
const dead: FailedAttempt = { status: EventStatus.FAILED, retryCount: 5, error: "boom", gsiSortKey: 100 }

const AN_EVENT = "(attribute_exists(#occurredAt) OR attribute_exists(#retryCount))"
const EXPIRING: transitions.Retention = { kind: "expire", afterMs: 10_500, attribute: "expiresAt" }
const mineOrDone =
  "(#status = :active AND #claimToken = :mine AND #gsiSortKey IN (:myLease, :myOtherLease)) OR " +
  "(#status = :next AND #claimToken = :mine AND #gsiSortKey = :nextKey)"
const names = (...attributes: string[]) => Object.fromEntries(attributes.map((name) => [`#${name}`, name]))

it("publish: only where the id is not in the table", () => {
  const event = { id: "e1", type: "t", payload: 1, occurredAt: new Date(0) }
  expect(transitions.publish(TableName, toItem(event))).toEqual({
    TableName,
    Item: toItem(event),
    ConditionExpression: "attribute_not_exists(id)",
  })
})

it("claim: only what is created and due, or was claimed by this very write; returns the item as it is now", () => {
  expect(transitions.claim(TableName, lease, 1000)).toEqual({
    TableName,
    Key,
    UpdateExpression:
      "SET #status = :set_status, #gsiSortKey = :set_gsiSortKey, #startedOn = :set_startedOn, #claimToken = :set_claimToken",
    ConditionExpression:
      `(#status = :created AND #gsiSortKey <= :now AND (attribute_not_exists(#claimToken) OR #claimToken <> :mine) AND ${AN_EVENT}) OR ` +
      "(#status = :next AND #claimToken = :mine AND #gsiSortKey = :nextKey)",
    ExpressionAttributeNames: names(
      "status",
      "gsiSortKey",
      "startedOn",
      "claimToken",
      "occurredAt",
      "retryCount",
    ),
    ExpressionAttributeValues: {
      ":set_status": "active",
      ":set_gsiSortKey": 2000,
      ":set_startedOn": 1000,
      ":set_claimToken": "t1",
      ":created": "created",
      ":now": 1000,
      ":next": "active",
      ":mine": "t1",
      ":nextKey": 2000,
    },
    ReturnValues: "ALL_NEW",
    ReturnValuesOnConditionCheckFailure: "ALL_OLD",
  })
})

it("renew: only my claim gets a later end of its lease, and nothing else changes", () => {
  expect(transitions.renew(TableName, lease, 3000)).toEqual({
    TableName,
    Key,
    UpdateExpression: "SET #status = :set_status, #gsiSortKey = :set_gsiSortKey",
    ConditionExpression: mineOrDone,
    ExpressionAttributeNames: names("status", "gsiSortKey", "claimToken"),
    ExpressionAttributeValues: {
      ":set_status": "active",
      ":set_gsiSortKey": 3000,
      ":active": "active",
      ":mine": "t1",
      ":myLease": 2000,
      ":myOtherLease": 2000,
      ":next": "active",
      ":nextKey": 3000,
    },
  })
})

it("release: only my claim goes back to created, due as before", () => {
  expect(transitions.release(TableName, lease)).toEqual({
    TableName,
    Key,
    UpdateExpression: "SET #status = :set_status, #gsiSortKey = :set_gsiSortKey REMOVE #startedOn",
    ConditionExpression: mineOrDone,
    ExpressionAttributeNames: names("status", "gsiSortKey", "startedOn", "claimToken"),
    ExpressionAttributeValues: {
      ":set_status": "created",
      ":set_gsiSortKey": 900,
      ":active": "active",
      ":mine": "t1",
      ":myLease": 2000,
      ":myOtherLease": 2000,
      ":next": "created",
      ":nextKey": 900,
    },
  })
})

it("fence: undoes my claim, or refuses it when it comes late, and takes nothing from another", () => {
  expect(transitions.fence(TableName, lease, 1000)).toEqual({
    TableName,
    Key,
    UpdateExpression: "SET #status = :set_status, #gsiSortKey = :set_gsiSortKey REMOVE #startedOn",
    ConditionExpression:
      "(#status = :active AND #claimToken = :mine AND #gsiSortKey IN (:myLease, :myOtherLease)) OR " +
      `(#status = :created AND #gsiSortKey <= :now AND ${AN_EVENT})`,
    ExpressionAttributeNames: names(
      "status",
      "gsiSortKey",
      "startedOn",
      "claimToken",
      "occurredAt",
      "retryCount",
    ),
    ExpressionAttributeValues: {
      ":set_status": "created",
      ":set_gsiSortKey": 1001,
      ":active": "active",
      ":mine": "t1",
      ":myLease": 2000,
      ":myOtherLease": 2000,
      ":created": "created",
      ":now": 1000,
    },
  })
})

describe("fail", () => {
  it("sets my claim back to created, due later, with count and error", () => {
    expect(transitions.fail(TableName, lease, retried)).toEqual({
      TableName,
      Key,
      UpdateExpression:
        "SET #status = :set_status, #retryCount = :set_retryCount, #lastError = :set_lastError, " +
        "#gsiSortKey = :set_gsiSortKey, #nextRetryAt = :set_nextRetryAt REMOVE #crashCount",
      ConditionExpression: mineOrDone,
      ExpressionAttributeNames: names(
        "status",
        "retryCount",
        "lastError",
        "gsiSortKey",
        "nextRetryAt",
        "crashCount",
        "claimToken",
      ),
      ExpressionAttributeValues: {
        ":set_status": "created",
        ":set_retryCount": 2,
        ":set_lastError": "boom",
        ":set_gsiSortKey": 5000,
        ":set_nextRetryAt": 5000,
        ":active": "active",
        ":mine": "t1",
        ":myLease": 2000,
        ":myOtherLease": 2000,
        ":next": "created",
        ":nextKey": 5000,
      },
    })
  })

  it("makes my claim a dead letter that stays in the index, under the time of its occurrence", () => {
    expect(transitions.fail(TableName, lease, dead)).toMatchObject({
      UpdateExpression:
        "SET #status = :set_status, #retryCount = :set_retryCount, #lastError = :set_lastError, " +
        "#gsiSortKey = :set_gsiSortKey REMOVE #nextRetryAt, #crashCount",
      ConditionExpression: mineOrDone,
      ExpressionAttributeValues: {
        ":set_status": "failed",
        ":set_retryCount": 5,
        ":set_gsiSortKey": 100,
        ":next": "failed",
        ":nextKey": 100,
      },
    })
  })

  it("also holds a claim whose renewal was written although its response got lost", () => {
    const unsure: Lease = { ...lease, unconfirmedLeaseEnd: 2500 }
    for (const input of [
      transitions.fail(TableName, unsure, retried),
      transitions.release(TableName, unsure),
      transitions.renew(TableName, unsure, 2500),
    ]) {
      expect(input.ExpressionAttributeValues).toMatchObject({ ":myLease": 2000, ":myOtherLease": 2500 })
    }
  })
})

it("complete: whoever holds the claim, but never an item that is gone, completed or another event; it leaves the index", () => {
  expect(transitions.complete(TableName, { id: "e1", occurredAt: OCCURRED }, 1000)).toEqual({
    TableName,
    Key,
    UpdateExpression:
      "SET #status = :set_status, #completedOn = :set_completedOn REMOVE #gsiSortKey, #claimToken, #nextRetryAt, #crashCount",
    ConditionExpression:
      "#occurredAt = :occurredAt AND (attribute_exists(#claimToken) OR attribute_exists(#startedOn)) AND #status <> :completed",
    ExpressionAttributeNames: names(
      "status",
      "completedOn",
      "gsiSortKey",
      "claimToken",
      "nextRetryAt",
      "crashCount",
      "occurredAt",
      "startedOn",
    ),
    ExpressionAttributeValues: {
      ":set_status": "completed",
      ":set_completedOn": 1000,
      ":occurredAt": OCCURRED,
      ":completed": "completed",
    },
  })
})

describe("recover", () => {
  it("takes only what is still active, with its lease still over and its count unchanged, or its own result; answers with the item", () => {
    expect(transitions.recover(TableName, { id: "e1", token: "r1" }, retried, 1, 3000)).toEqual({
      TableName,
      Key,
      UpdateExpression:
        "SET #status = :set_status, #retryCount = :set_retryCount, #lastError = :set_lastError, " +
        "#gsiSortKey = :set_gsiSortKey, #nextRetryAt = :set_nextRetryAt, #claimToken = :set_claimToken ADD #crashCount :add_crashCount",
      ConditionExpression:
        `(#status = :active AND #gsiSortKey <= :now AND #retryCount = :seenCount AND ${AN_EVENT}) OR ` +
        "(#status = :next AND #claimToken = :mine AND #gsiSortKey = :nextKey)",
      ExpressionAttributeNames: names(
        "status",
        "retryCount",
        "lastError",
        "gsiSortKey",
        "nextRetryAt",
        "claimToken",
        "crashCount",
        "occurredAt",
      ),
      ExpressionAttributeValues: {
        ":set_status": "created",
        ":set_retryCount": 2,
        ":set_lastError": "boom",
        ":set_gsiSortKey": 5000,
        ":set_nextRetryAt": 5000,
        ":set_claimToken": "r1",
        ":add_crashCount": 1,
        ":active": "active",
        ":now": 3000,
        ":seenCount": 1,
        ":next": "created",
        ":mine": "r1",
        ":nextKey": 5000,
      },
      ReturnValues: "ALL_NEW",
    })
  })

  it("of an item without a count: only while it has none", () => {
    const input = transitions.recover(TableName, { id: "e1", token: "r1" }, dead, undefined, 3000)
    expect(input.ConditionExpression).toContain(
      `(#status = :active AND #gsiSortKey <= :now AND attribute_not_exists(#retryCount) AND ${AN_EVENT}) OR `,
    )
    expect(input.ExpressionAttributeValues).not.toHaveProperty(":seenCount")
    expect(input.UpdateExpression).toMatch(/ REMOVE #nextRetryAt ADD #crashCount :add_crashCount$/)
  })
})

it("setAside: only the item as its recovery left it", () => {
  const input = transitions.setAside(TableName, "e1", dead, retried)
  expect(input).toMatchObject({
    ConditionExpression: `#status = :recovered AND #gsiSortKey = :recoveredKey AND ${AN_EVENT}`,
    ExpressionAttributeValues: {
      ":set_status": "failed",
      ":recovered": "created",
      ":recoveredKey": 5000,
    },
  })
  expect(input).not.toHaveProperty("ReturnValues")
})

it("a claim that was won and released is refused when it arrives once more; any other is not", () => {
  const wins = (input: ReturnType<typeof transitions.claim>, item: Item) =>
    holds(input.ConditionExpression, item, {
      names: input.ExpressionAttributeNames,
      values: input.ExpressionAttributeValues,
    })
  const run = (input: ReturnType<typeof transitions.claim>, item: Item) =>
    updated(input.UpdateExpression as string, item, {
      names: input.ExpressionAttributeNames,
      values: input.ExpressionAttributeValues,
    })
  const stored = { ...toItem({ id: "e1", type: "t", payload: 1, occurredAt: new Date(0) }), gsiSortKey: 900 }
  const claim = transitions.claim(TableName, lease, 1000)
  const released = run(transitions.release(TableName, lease), run(claim, stored))
  expect(wins(claim, stored)).toBe(true)
  expect(wins(claim, released)).toBe(false)
  expect(wins(transitions.claim(TableName, { ...lease, token: "t2" }, 1000), released)).toBe(true)
})

it("complete, where delivered events expire: with the second at which DynamoDB may delete it", () => {
  const event = { id: "e1", occurredAt: OCCURRED }
  const input = transitions.complete(TableName, event, 1_700_000_000_200, EXPIRING)
  expect(input.UpdateExpression).toContain("#expiresAt = :set_expiresAt")
  expect(input.ExpressionAttributeValues).toMatchObject({ ":set_expiresAt": 1_700_000_011 })
  const kept = transitions.complete(TableName, event, 1000)
  expect(kept).toEqual(transitions.complete(TableName, event, 1000, { kind: "keep" }))
  expect(JSON.stringify(kept)).not.toContain("expiresAt")
})

it("completeAndDelete: on the condition of a completion, and without creating anything", () => {
  const event = { id: "e1", occurredAt: OCCURRED }
  const { ConditionExpression } = transitions.complete(TableName, event, 1000)
  expect(transitions.completeAndDelete(TableName, event)).toEqual({
    TableName,
    Key,
    ConditionExpression,
    ExpressionAttributeNames: names("occurredAt", "claimToken", "startedOn", "status"),
    ExpressionAttributeValues: { ":occurredAt": OCCURRED, ":completed": "completed" },
  })
})

it("nothing but a completion and a discard sets an expiry", () => {
  const others = [
    transitions.claim(TableName, lease, 1000),
    transitions.renew(TableName, lease, 3000),
    transitions.release(TableName, lease),
    transitions.fence(TableName, lease, 1000),
    transitions.fail(TableName, lease, retried),
    transitions.fail(TableName, lease, dead),
    transitions.recover(TableName, { id: "e1", token: "r1" }, dead, 1, 3000),
    transitions.setAside(TableName, "e1", dead, retried),
    operator.retry(TableName, "e1", 1000),
    operator.restore(TableName, "e1", 100),
  ]
  for (const input of others) expect(JSON.stringify(input)).not.toContain("expires")
})

it("every update asks whether the item is an event: by the token of a claim, by when it occurred, or by its attributes", () => {
  const isAsked = ({ ConditionExpression: condition = "" }: { ConditionExpression?: string | undefined }) =>
    condition
      .split(" OR (")
      .every((branch) =>
        /#claimToken = :mine|#occurredAt = :occurredAt|attribute_exists\(#occurredAt\)|^attribute_exists/.test(
          branch,
        ),
      )
  for (const input of [
    transitions.claim(TableName, lease, 1000),
    transitions.renew(TableName, lease, 3000),
    transitions.release(TableName, lease),
    transitions.fence(TableName, lease, 1000),
    transitions.fail(TableName, lease, retried),
    transitions.complete(TableName, { id: "e1", occurredAt: OCCURRED }, 1000),
    transitions.recover(TableName, { id: "e1", token: "r1" }, retried, 1, 3000),
    transitions.setAside(TableName, "e1", dead, retried),
    operator.retry(TableName, "e1", 1000),
    operator.discard(TableName, "e1", "obsolete", 1000, EXPIRING),
    operator.restore(TableName, "e1", 100),
  ]) {
    expect(isAsked(input), input.ConditionExpression).toBe(true)
  }
})

it("no update works without a condition, and each refers to exactly the names and values it defines", () => {
  const inputs = [
    transitions.claim(TableName, lease, 1000),
    transitions.renew(TableName, lease, 3000),
    transitions.release(TableName, lease),
    transitions.fence(TableName, lease, 1000),
    transitions.fail(TableName, lease, retried),
    transitions.fail(TableName, lease, dead),
    transitions.complete(TableName, { id: "e1", occurredAt: OCCURRED }, 1000),
    transitions.recover(TableName, { id: "e1", token: "r1" }, retried, 1, 3000),
    transitions.recover(TableName, { id: "e1", token: "r1" }, dead, undefined, 3000),
    transitions.setAside(TableName, "e1", dead, retried),
    operator.retry(TableName, "e1", 1000),
    operator.discard(TableName, "e1", "obsolete", 1000, EXPIRING),
    operator.restore(TableName, "e1", 100),
  ]
  for (const input of inputs) {
    expect(input.ConditionExpression).toBeTruthy()
    const text = `${input.UpdateExpression} ${input.ConditionExpression}`
    const used = (prefix: string) => [...new Set(text.match(new RegExp(`${prefix}\\w+`, "g")))].sort()
    expect(Object.keys(input.ExpressionAttributeNames ?? {}).sort()).toEqual(used("#"))
    expect(Object.keys(input.ExpressionAttributeValues ?? {}).sort()).toEqual(used(":"))
  }
})
