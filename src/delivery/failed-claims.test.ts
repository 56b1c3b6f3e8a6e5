/** Whether rows or the database are to blame for claims that failed. */
import { expect, it, vi } from "vitest"
import { FailedClaims } from "./failed-claims.ts"

const boom = new Error("boom")
const [a, b] = [{ id: "a" }, { id: "b" }]

function create() {
  const report = vi.fn()
  const fail = vi.fn()
  return { failed: new FailedClaims(report), report, fail, poll: { fail, hasFailed: false } }
}

it("rows are to blame when anything has succeeded, and each is reported once until it succeeds", () => {
  const { failed, report, fail, poll } = create()
  failed.add(a, boom)
  expect(report).not.toHaveBeenCalled()
  failed.succeeded(b)
  expect(report).toHaveBeenCalledExactlyOnceWith(a, boom)
  failed.add(a, boom)
  failed.blameRows()
  failed.end(poll)
  expect(report).toHaveBeenCalledOnce()
  expect(fail).not.toHaveBeenCalled()
  failed.succeeded(a)
  failed.add(a, boom)
  failed.blameRows()
  expect(report).toHaveBeenCalledTimes(2)
})

it("the database is to blame when nothing has succeeded", () => {
  for (const rows of [[a], [a, b]]) {
    const { failed, report, fail, poll } = create()
    for (const row of rows) failed.add(row, boom)
    expect(failed.count).toBe(rows.length)
    failed.end({ ...poll, hasFailed: true })
    expect(fail).toHaveBeenCalledExactlyOnceWith(boom)
    expect(report).not.toHaveBeenCalled()
    expect(failed.count).toBe(0)
  }
})

it("a single row that has failed before is to blame itself", () => {
  const { failed, report, fail, poll } = create()
  failed.add(a, boom)
  failed.end({ ...poll, hasFailed: true })
  failed.add(a, boom)
  failed.end(poll)
  expect(fail).toHaveBeenCalledOnce()
  expect(report).toHaveBeenCalledExactlyOnceWith(a, boom)
})
