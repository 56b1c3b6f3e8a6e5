import { expect, it } from "vitest"
import { allPromisesRun, deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import { forEachBounded } from "./bounded.ts"

it("runs for every item, at most so many at once", async () => {
  const calls = Array.from({ length: 5 }, () => deferred())
  const started: number[] = []
  const all = forEachBounded([0, 1, 2, 3, 4], 2, (i) => {
    started.push(i)
    return calls[i]?.promise ?? Promise.resolve()
  })
  expect(started).toEqual([0, 1])
  calls[1]?.resolve()
  await allPromisesRun()
  expect(started).toEqual([0, 1, 2])
  for (const call of calls) call.resolve()
  expect(await all).toEqual([])
  expect(started).toEqual([0, 1, 2, 3, 4])
})

it("goes on after errors, and returns them all", async () => {
  const seen: number[] = []
  const errors = await forEachBounded([1, 2, 3], 1, async (item) => {
    seen.push(item)
    if (item !== 2) throw new Error(`no ${item}`)
  })
  expect(seen).toEqual([1, 2, 3])
  expect(errors).toEqual([new Error("no 1"), new Error("no 3")])
})

it("does nothing for no items", async () => {
  expect(await forEachBounded([], 10, async () => {})).toEqual([])
})
