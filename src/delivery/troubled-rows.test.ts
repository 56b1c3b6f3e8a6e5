import { expect, it, vi } from "vitest"
import { TroubledRows } from "./troubled-rows.ts"

it("leaves a row alone for longer with each failure, and starts anew after a success", () => {
  const rows = new TroubledRows()
  const pauses = Array.from({ length: 7 }, () => rows.failed("e1"))
  expect(pauses).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
  expect(rows.failed("e2")).toBe(1000)
  rows.succeeded("e1")
  expect(rows.failed("e1")).toBe(1000)
})

it("reports a row once until it has succeeded", () => {
  const rows = new TroubledRows()
  const report = vi.fn()
  rows.reportOnce("e1", report)
  expect(report).not.toHaveBeenCalled()
  for (const times of [1, 2]) {
    rows.failed("e1")
    rows.reportOnce("e1", report)
    rows.failed("e1")
    rows.reportOnce("e1", report)
    expect(report).toHaveBeenCalledTimes(times)
    rows.succeeded("e1")
  }
})

it("forgets the row that has failed longest ago when there are too many", () => {
  const rows = new TroubledRows()
  for (let i = 0; i <= 10_000; i++) rows.failed(`e${i}`)
  expect([rows.has("e0"), rows.has("e1"), rows.has("e10000")]).toEqual([false, true, true])
})
