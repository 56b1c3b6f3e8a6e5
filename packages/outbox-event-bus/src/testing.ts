// The entry `outbox-event-bus/testing`: what every outbox must do, as tests for whoever writes one.

import { DELIVERY_CASES } from "./conformance/delivery-cases.ts"
import { FAILURE_CASES } from "./conformance/failure-cases.ts"
import { LIFECYCLE_CASES } from "./conformance/lifecycle-cases.ts"
import { Scene } from "./conformance/scene.ts"
import { STORE_CASES } from "./conformance/store-cases.ts"
import type { ConformanceCase, ConformanceSubject } from "./conformance/subject.ts"

export type {
  ConformanceCapabilities,
  ConformanceCase,
  ConformanceOutboxOptions,
  ConformanceStore,
  ConformanceSubject,
  ConformanceTransaction,
} from "./conformance/subject.ts"

const CASES = [...DELIVERY_CASES, ...FAILURE_CASES, ...LIFECYCLE_CASES, ...STORE_CASES]

/**
 * The promises that an outbox makes by implementing `IOutbox`, one test each. They are plain functions, so any test
 * runner takes them; assertions are those of `node:assert`.
 *
 * @param subject - the outbox: how to make one, and in what it differs from others
 * @returns the cases that apply to an outbox of these capabilities
 * @example
 * ```ts
 * import { outboxConformance } from "outbox-event-bus/testing"
 * import { describe, it } from "vitest" // or "@jest/globals", or "node:test"
 *
 * describe("MyOutbox keeps the promises of an outbox:", () => {
 *   const cases = outboxConformance({
 *     openStore: async () => {
 *       const table = await createTable()
 *       return {
 *         createOutbox: ({ maxRetries }) => new MyOutbox({ table, maxRetries, pollIntervalMs: 10, baseBackoffMs: 1 }),
 *         close: () => table.drop(),
 *       }
 *     },
 *     capabilities: { handlerRuns: "maxRetries", order: "occurrence", sharedStore: true },
 *   })
 *   for (const { name, run } of cases) it(name, run)
 * })
 * ```
 */
export function outboxConformance<TTransaction>(
  subject: ConformanceSubject<TTransaction>,
): ConformanceCase[] {
  return CASES.filter(({ when }) => when?.(subject.capabilities) ?? true).map(({ name, run }) => ({
    name,
    run: async () => {
      const scene = new Scene(subject, await subject.openStore())
      try {
        await run(scene)
      } finally {
        await scene.close()
      }
    },
  }))
}
