import { expect, test } from "vitest"
import { pageOf, readKeyCondition, type WireItem, type WireQuery } from "./key-condition.ts"

const rows: WireItem[] = [1, 2, 3, 4, 5].map((n) => ({
  id: { S: `e${n}` },
  status: { S: "created" },
  at: { N: String(n * 10) },
}))

function query(rest: Partial<WireQuery> & { values?: Record<string, { N: string }> } = {}) {
  const { values, ...given } = rest
  const whole: WireQuery = {
    TableName: "t",
    IndexName: "i",
    KeyConditionExpression: "#s = :s",
    ExpressionAttributeNames: { "#s": "status" },
    ExpressionAttributeValues: { ":s": { S: "created" }, ...values },
    ...given,
  }
  const condition = readKeyCondition(whole)
  return condition && pageOf(rows, whole, condition, ["id", "status", "at"])
}

const ids = (page: ReturnType<typeof query>) => page?.Items.map(({ id }) => id?.S)

test.each([
  ["at = :x", ["e3"]],
  ["at < :x", ["e1", "e2"]],
  ["at <= :x", ["e1", "e2", "e3"]],
  ["at > :x", ["e4", "e5"]],
  ["at >= :x", ["e3", "e4", "e5"]],
  ["at BETWEEN :w AND :x", ["e2", "e3"]],
])("#s = :s AND %s", (sortCondition, expected) => {
  const page = query({
    KeyConditionExpression: `#s = :s AND ${sortCondition}`,
    values: { ":x": { N: "30" }, ":w": { N: "20" } },
  })
  expect(ids(page)).toEqual(expected)
  expect(page).not.toHaveProperty("LastEvaluatedKey")
})

test("pages follow each other, in both directions", () => {
  for (const ScanIndexForward of [true, false]) {
    const seen: unknown[] = []
    let page = query({ Limit: 2, ScanIndexForward })
    for (;;) {
      seen.push(...(ids(page) ?? []))
      if (!page?.LastEvaluatedKey) break
      page = query({ Limit: 2, ScanIndexForward, ExclusiveStartKey: page.LastEvaluatedKey })
    }
    const all = ["e1", "e2", "e3", "e4", "e5"]
    expect(seen).toEqual(ScanIndexForward ? all : all.toReversed())
  }
})

test("a page goes on behind a row that is gone, and shows only what is asked for", () => {
  const page = query({
    KeyConditionExpression: "#s = :s AND at <= :x",
    values: { ":x": { N: "99" } },
    ExclusiveStartKey: { id: { S: "gone" }, status: { S: "created" }, at: { N: "25" } },
    ProjectionExpression: "id, #s",
  })
  expect(page?.Items).toEqual(["e3", "e4", "e5"].map((id) => ({ id: { S: id }, status: { S: "created" } })))
})

test("a condition that can't be read is left to the engine", () => {
  expect(query({ KeyConditionExpression: "#s = :s AND begins_with(at, :x)" })).toBeUndefined()
})
