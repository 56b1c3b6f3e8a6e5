import type { TableDescription } from "@aws-sdk/client-dynamodb"
import { describe, expect, it } from "vitest"
import { type Expectations, judgeTable, type TableFacts } from "./table-check.ts"
import { outboxTableDefinition } from "./table-definition.ts"

const expected: Expectations = { tableName: "outbox", statusIndexName: "status-gsiSortKey-index" }

/** A table without fault, as DynamoDB describes it. */
function goodTable(): TableDescription {
  const { GlobalSecondaryIndexes: indexes = [], ...definition } = outboxTableDefinition({
    tableName: "outbox",
  })
  return {
    ...(definition as TableDescription),
    TableStatus: "ACTIVE",
    BillingModeSummary: { BillingMode: "PAY_PER_REQUEST" },
    GlobalSecondaryIndexes: indexes.map((index) => ({ ...index, IndexStatus: "ACTIVE" })) as never,
  }
}

const codes = (facts: TableFacts, more: Partial<Expectations> = {}) =>
  judgeTable(facts, { ...expected, ...more }).map(({ code }) => code)

const index = (more: object) => {
  const table = goodTable()
  Object.assign(table.GlobalSecondaryIndexes?.[0] ?? {}, more)
  return table
}

describe("a table", () => {
  it("that was made by the definition is without fault", () => {
    expect(judgeTable({ table: goodTable() }, expected)).toEqual([])
  })

  it.each<[string, TableDescription]>([
    ["table-not-active", { ...goodTable(), TableStatus: "CREATING" }],
    ["wrong-key", { ...goodTable(), KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }] }],
    [
      "wrong-key",
      {
        ...goodTable(),
        KeySchema: [
          { AttributeName: "id", KeyType: "HASH" },
          { AttributeName: "status", KeyType: "RANGE" },
        ],
      },
    ],
    ["index-missing", { ...goodTable(), GlobalSecondaryIndexes: undefined }],
    ["index-missing", index({ IndexName: "by-status" })],
    ["index-not-active", index({ IndexStatus: "CREATING", Backfilling: true })],
    ["wrong-index-key", index({ KeySchema: [{ AttributeName: "status", KeyType: "HASH" }] })],
    [
      "wrong-index-key",
      {
        ...goodTable(),
        AttributeDefinitions: [
          { AttributeName: "id", AttributeType: "S" },
          { AttributeName: "status", AttributeType: "S" },
          { AttributeName: "gsiSortKey", AttributeType: "S" },
        ],
      },
    ],
  ])("that can't work: %s", (code, table) => {
    const [finding] = judgeTable({ table }, expected)
    expect(finding).toMatchObject({ severity: "error", code, fix: expect.any(String) })
  })

  it("is told what was asked for and what exists", () => {
    const [missing] = judgeTable({ table: index({ IndexName: "by-status" }) }, expected)
    expect(missing?.message).toBe(
      'Table "outbox" has no index "status-gsiSortKey-index"; it has "by-status". Nothing can be delivered.',
    )
    const [wrong] = judgeTable(
      { table: { ...goodTable(), KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }] } },
      expected,
    )
    expect(wrong?.message).toContain('The primary key of "outbox" is pk (?); it must be id (String) alone.')
  })

  it.each<[string, TableFacts, Partial<Expectations>]>([
    ["no-deletion-protection", { table: { ...goodTable(), DeletionProtectionEnabled: false } }, {}],
    [
      "no-point-in-time-recovery",
      {
        table: goodTable(),
        backups: {
          ContinuousBackupsStatus: "ENABLED",
          PointInTimeRecoveryDescription: { PointInTimeRecoveryStatus: "DISABLED" },
        },
      },
      {},
    ],
    ["provisioned", { table: { ...goodTable(), BillingModeSummary: undefined } }, {}],
    [
      "stream",
      {
        table: { ...goodTable(), StreamSpecification: { StreamEnabled: true, StreamViewType: "KEYS_ONLY" } },
      },
      {},
    ],
    [
      "ttl-missing",
      { table: goodTable(), ttl: { TimeToLiveStatus: "DISABLED" } },
      { ttlAttribute: "expiresAt" },
    ],
    [
      "ttl-missing",
      { table: goodTable(), ttl: { TimeToLiveStatus: "ENABLED", AttributeName: "ttl" } },
      { ttlAttribute: "expiresAt" },
    ],
    ["ttl-unused", { table: goodTable(), ttl: { TimeToLiveStatus: "ENABLED", AttributeName: "ttl" } }, {}],
    [
      "ttl-deletes-undelivered",
      { table: goodTable(), ttl: { TimeToLiveStatus: "ENABLED", AttributeName: "gsiSortKey" } },
      {},
    ],
  ])("that works, but %s", (code, facts, more) => {
    expect(codes(facts, more)).toEqual([code])
  })

  it("whose TTL is that of the outbox has no finding, nor has one of which nothing may be asked", () => {
    const ttl = { TimeToLiveStatus: "ENABLED", AttributeName: "expiresAt" } as const
    expect(codes({ table: goodTable(), ttl }, { ttlAttribute: "expiresAt" })).toEqual([])
    expect(codes({ table: goodTable() }, { ttlAttribute: "expiresAt" })).toEqual([])
  })

  it("shows the worst first", () => {
    const table = {
      ...index({ IndexName: "x" }),
      DeletionProtectionEnabled: false,
      BillingModeSummary: undefined,
    }
    expect(judgeTable({ table }, expected).map(({ severity }) => severity)).toEqual([
      "error",
      "warning",
      "info",
    ])
  })
})
