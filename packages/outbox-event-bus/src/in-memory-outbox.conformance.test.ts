// The in-memory outbox keeps the promises that every outbox makes.

import { describe, it } from "vitest"
import { InMemoryOutbox } from "./in-memory-outbox.ts"
import { outboxConformance } from "./testing.ts"

describe("the in-memory outbox", { concurrent: true }, () => {
  const cases = outboxConformance({
    openStore: () => ({ createOutbox: ({ maxRetries }) => new InMemoryOutbox({ maxRetries }) }),
    capabilities: {
      handlerRuns: "maxRetries + 1",
      order: "publication",
      deadLetterOrder: "as dead-lettered",
      drainsOnStop: true,
      deliversBeforeStop: true,
    },
    payloads: [undefined, Number.NaN, new Map([[1, new Set([2])]]), new Date(0), 1n],
  })
  for (const { name, run } of cases) it(name, run)
})
