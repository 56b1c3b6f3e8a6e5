import { NumberValue } from "@aws-sdk/lib-dynamodb"
import { describe, expect, it } from "vitest"
import { RecentRows } from "./recent-rows.ts"

const row = { id: "e1", gsiSortKey: 1000 }

describe("a row this worker has claimed", () => {
  it("is known for ten seconds", () => {
    const recent = new RecentRows()
    expect(recent.has(row, 0)).toBe(false)
    recent.claimed(row, 0)
    expect(recent.has(row, 9_999)).toBe(true)
    expect(recent.has(row, 10_000)).toBe(false)
  })

  it("is known also where the number comes wrapped", () => {
    const recent = new RecentRows()
    recent.claimed({ id: "e1", gsiSortKey: NumberValue.from("1000") }, 0)
    expect(recent.has(row, 1)).toBe(true)
  })

  it("is news again when it became due anew, under another sort key", () => {
    const recent = new RecentRows()
    recent.claimed(row, 0)
    expect(recent.has({ id: "e1", gsiSortKey: 1001 }, 1)).toBe(false)
  })
})

it("a row lost to another worker is known for two seconds: it may be released under the same sort key", () => {
  const recent = new RecentRows()
  recent.claimed(row, 0)
  recent.lost(row, 1000)
  expect(recent.has(row, 2_999)).toBe(true)
  expect(recent.has(row, 3_000)).toBe(false)
})

it("what is remembered is bounded: the oldest rows are given up, the newest stay", () => {
  const recent = new RecentRows()
  const rows = Array.from({ length: 10_001 }, (_, i) => ({ id: `e${i}`, gsiSortKey: i }))
  for (const each of rows) recent.claimed(each, 0)
  expect(rows.filter((each) => recent.has(each, 1))).toEqual(rows.slice(1))
})

it("rows whose time is over make room", () => {
  const recent = new RecentRows()
  recent.claimed({ id: "old", gsiSortKey: 1 }, 0)
  recent.claimed(row, 20_000)
  // Even to a clock that was set back, the old row is not there any more.
  expect(recent.has({ id: "old", gsiSortKey: 1 }, 0)).toBe(false)
  expect(recent.has(row, 20_001)).toBe(true)
})

it("a row that is set aside is known under any sort key, until its time", () => {
  const rows = new RecentRows()
  rows.leaveAlone({ id: "a", gsiSortKey: 1 }, 0, 500)
  expect(rows.has({ id: "a", gsiSortKey: 2 }, 499)).toBe(true)
  expect(rows.has({ id: "a", gsiSortKey: 2 }, 500)).toBe(false)
})
