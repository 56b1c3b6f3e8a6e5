// The suite itself: a sound outbox passes every case, a broken one does not, and there is no case that can't fail.

import { describe, expect, it } from "vitest"
import { outboxConformance } from "../testing.ts"
import { BROKEN_DELIVERY } from "./broken-delivery.fixture.ts"
import { BROKEN_FAILURE } from "./broken-failure.fixture.ts"
import { BROKEN_LIFECYCLE } from "./broken-lifecycle.fixture.ts"
import { BROKEN_STORE } from "./broken-store.fixture.ts"
import { type BrokenOutboxes, subjectOf, TableOutbox } from "./table-outbox.fixture.ts"

const BROKEN: BrokenOutboxes = { ...BROKEN_DELIVERY, ...BROKEN_FAILURE, ...BROKEN_LIFECYCLE, ...BROKEN_STORE }
/** A broken outbox keeps most cases waiting. */
const IMPATIENT = { timeoutMs: 400, quietMs: 80 }

async function failedCases({ outbox, claims }: BrokenOutboxes[string]): Promise<string[]> {
  const cases = outboxConformance(subjectOf(outbox, IMPATIENT, claims))
  const results = await Promise.allSettled(cases.map(({ run }) => run()))
  return cases.filter((_, i) => results[i]?.status === "rejected").map(({ name }) => name)
}

describe("a sound outbox", { concurrent: true }, () => {
  for (const { name, run } of outboxConformance(subjectOf(TableOutbox))) it(name, run)
})

it("asks nothing of an outbox that it does not declare", () => {
  const names = outboxConformance({
    ...subjectOf(TableOutbox),
    capabilities: { handlerRuns: "maxRetries", order: false },
  }).map(({ name }) => name)
  expect(names).not.toContainEqual(expect.stringMatching(/future|refuses|several|another outbox|transaction/))
  expect(names).not.toContainEqual(expect.stringMatching(/one handler at a time/))
})

describe("a broken outbox is caught", () => {
  const caught = new Map<string, string>()

  it.concurrent.each(Object.entries(BROKEN))("which %s", async (broken, outbox) => {
    const failed = await failedCases(outbox)
    for (const name of failed) caught.set(name, broken)
    expect(failed).toContainEqual(expect.stringMatching(new RegExp(`^${outbox.caughtBy}`)))
  })

  it("by every case at least once: there is none that can't fail", () => {
    const claims = [{}, { drainsOnStop: true }, { deadLetterOrder: "as dead-lettered" as const }]
    const cases = claims.flatMap((claim) => outboxConformance(subjectOf(TableOutbox, {}, claim)))
    const names = [...new Set(cases.map(({ name }) => name))]
    expect(names.filter((name) => !caught.has(name))).toEqual([])
  })
})
