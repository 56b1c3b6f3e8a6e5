/** The short form of `npm run chaos`: a few seconds of trouble, some scenarios on this engine, others on the next. */
import { expect, inject, test } from "vitest"
import { SCENARIOS } from "../chaos/scenarios.ts"
import { Stage } from "../chaos/stage.ts"
import { endpoint } from "./fixture/table.ts"

const SHORT: Record<string, string[]> = {
  dynoxide: ["kills", "network cuts", "poison"],
  "dynamodb-local": ["freezes", "lost responses", "rolling update", "short invocations"],
}
const DURATION_MS = 3000
const RATE = 30
/** Leases must end before all is settled, and the machine may be busy. */
const TEST_MS = 180_000
const seed = process.env.CHAOS_SEED ?? "short"

const here = SCENARIOS.filter(({ name }) => SHORT[inject("engine")]?.includes(name))

for (const scenario of here) {
  test(`${scenario.name}: nothing is lost, no promise is broken`, { timeout: TEST_MS }, async () => {
    const stage = new Stage(scenario, { endpoint: endpoint(), seed, durationMs: DURATION_MS, rate: RATE })
    const { broken, events } = await stage.play()
    expect(broken, `to repeat: npm run chaos -- --scenario "${scenario.name}" --seed ${seed}`).toEqual([])
    expect(events).toBeGreaterThan(10)
  })
}
