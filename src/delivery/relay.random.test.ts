/**
 * What relays promise whatever happens: events, handlers, latencies and numbers are random. For more of it than usual:
 * `RELAY_RUNS=20000 RELAY_SEED=7`.
 */
import fc from "fast-check"
import { expect, it } from "vitest"
import { LEASE_MS } from "../test/event-operations.fixture.ts"
import { NOW, useFakeClock } from "../test/fake-clock.fixture.ts"
import {
  isOverdue,
  isRunning,
  type Promises,
  RandomRelays,
  type Scenario,
  type SeenClaim,
  type Worker,
} from "../test/random-relays.fixture.ts"
import { suspicionOf } from "./admission.ts"

useFakeClock()

const RUNS = Number(process.env.RELAY_RUNS ?? 150)
const SEED = Number(process.env.RELAY_SEED ?? 1)

/** In each, the simplest comes first: there a counterexample shrinks to. */
const scenarios: fc.Arbitrary<Scenario> = fc.record({
  events: fc.array(
    fc.record({
      crashCount: fc.constantFrom(0, 0, 0, 1, 2),
      isLastAttempt: fc.boolean(),
      handlerMs: fc.constantFrom(0, 0, 5, 20, 90, 400, LEASE_MS - 100, LEASE_MS * 1.5, LEASE_MS * 4),
      failures: fc.constantFrom(0, 0, 0, 1, 2),
    }),
    { minLength: 1, maxLength: 30, size: "max" },
  ),
  relays: fc.constantFrom(1, 1, 2, 3),
  concurrency: fc.constantFrom(1, 2, 5, 50),
  batchSize: fc.constantFrom(1, 3, 50),
  pollMs: fc.constantFrom(60_000, 500, 300),
  latencyMs: fc.constantFrom(0, 5, 60, 200),
  indexLagMs: fc.constantFrom(0, 50),
  stopAfterMs: fc.constantFrom(undefined, undefined, undefined, 0, 7, 40, 133, 600),
  seed: fc.nat(),
})

const ids = (claims: SeenClaim[]) => claims.map(({ id }) => id)
const atMost = (limit: number, count: number, what: string) => (count > limit ? [`${count} ${what}`] : [])

const isStrongSuspect = (claim: SeenClaim) => suspicionOf(claim) === "strong"
const isWeakSuspect = (claim: SeenClaim) => suspicionOf(claim) === "weak"

/** What has waited claimed beside something that began at `since`, for longer than it takes to know what to do with it. */
function waitingSince(since: number, { inHand, scenario }: Worker): SeenClaim[] {
  // The claims that were under way are answered, one of them is released, and then it.
  const patienceMs = 4 * scenario.latencyMs
  return inHand.filter(
    ({ startedAt, wonAt }) => startedAt === undefined && Date.now() > Math.max(since, wonAt) + patienceMs,
  )
}

const promises: Promises = {
  "no more handlers run at once than may": ({ inHand, scenario }) => {
    const running = inHand.filter(isRunning)
    return running.length > scenario.concurrency ? ids(running) : []
  },

  "strong suspects run one at a time, and none is claimed beside one that runs": ({ inHand }) => {
    const suspects = inHand.filter((claim) => isStrongSuspect(claim) && !isOverdue(claim))
    return suspects.length > 1 && suspects.some(isRunning) ? ids(suspects) : []
  },

  "weak suspects fill at most half of the slots": ({ inHand, scenario }) => {
    const suspects = inHand.filter((claim) => isWeakSuspect(claim) && isRunning(claim) && !isOverdue(claim))
    return suspects.length > Math.ceil(scenario.concurrency / 2) ? ids(suspects) : []
  },

  "a strong suspect does not wait claimed beside handlers that run": (worker) => {
    const running = worker.inHand.filter((claim) => isRunning(claim) && !isOverdue(claim))
    const firstStart = Math.min(...running.map(({ startedAt = 0 }) => startedAt))
    return ids(waitingSince(firstStart, worker).filter(isStrongSuspect))
  },

  "an event at its last attempt does not wait claimed for handlers to end": (worker) => {
    const running = worker.inHand.filter(isRunning)
    if (running.length < worker.scenario.concurrency) return []
    const lastStart = Math.max(...running.map(({ startedAt = 0 }) => startedAt))
    return ids(waitingSince(lastStart, worker).filter(({ isLastAttempt }) => isLastAttempt))
  },

  "a relay starts nothing once it is told to stop": ({ startedAfterStop }) => startedAfterStop,

  "a relay that says it has stopped has nothing in hand": ({ hasStopped, inHand }) =>
    hasStopped ? ids(inHand) : [],

  "a relay does not poll, claim and read without end": ({ life, starts, polls, scenario }) => {
    const [claims, reads] = [life.claim.mock.calls.length, life.due.mock.calls.length]
    // Each poll reads past the suspects that wait.
    const pages = Math.ceil(scenario.events.length / scenario.batchSize)
    return [
      // No two polls begin within 100 ms.
      ...atMost(1 + (Date.now() - NOW) / 100, polls, "polls"),
      ...atMost(100 + 3 * (polls + starts), claims, "claims"),
      ...atMost(50 + 2 * (polls + claims) + polls * pages, reads, "reads"),
      ...atMost(50 + 3 * (polls + claims), life.look.mock.calls.length, "looks"),
    ]
  },
}

const keepPromises = async (scenario: Scenario) => {
  const relays = new RandomRelays(scenario, promises)
  await relays.run()
  const stopped = relays.workers.filter(({ hasStopped }) => hasStopped)
  expect(stopped.length, "every stop resolves").toBe(scenario.relays)
  // Where the only relay was stopped early, nobody is left to go on.
  if (scenario.relays === 1 && scenario.stopAfterMs !== undefined) return
  expect(relays.table.in("completed"), "every event is completed in the end").toEqual(relays.ids)
}

it("keeps its promises whatever happens", { timeout: 60_000 + RUNS * 50 }, async () => {
  const property = fc.asyncProperty(scenarios, keepPromises)
  await fc.assert(property, { numRuns: RUNS, seed: SEED, includeErrorInReport: true })
})
