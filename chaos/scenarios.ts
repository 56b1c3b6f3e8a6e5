/** The scenarios: what happens to a fleet while events are published; one kind of fault each, and all together. */
import type { FaultPlan } from "../packages/dynamodb-dev/src/index.ts"
import type { FleetWorker, WorkerTraits } from "./fleet.ts"
import { Functions, feed } from "./functions.ts"
import type { Scenario } from "./scenario.ts"
import type { Stage } from "./stage.ts"

/** A short lease, so that its consequences show often. */
const LEASE_MS = 3000

const USUAL = { processingTimeoutMs: LEASE_MS, longestHandlerMs: LEASE_MS / 3, maxRetries: 5, poison: 0 }

const THROTTLES: FaultPlan = { throttle: 0.6 }
const LOST: FaultPlan = {
  loseAnswer: 0.12,
  failBeforeSending: 0.08,
  delay: 0.1,
  longestDelayMs: 300,
  conflict: 0.02,
}
const LAG: FaultPlan = { indexLagMs: 5000 }
const MINUTE_MS = 60_000

async function start(stage: Stage, count: number, traits: WorkerTraits = {}): Promise<void> {
  await Promise.all(Array.from({ length: count }, () => stage.fleet.start(traits)))
}

/** Any live worker, if there is one. */
function someone({ fleet, chance }: Stage): FleetWorker | undefined {
  const { alive } = fleet
  return alive.length > 0 ? chance.pick(alive) : undefined
}

/** Doesn't wait for the replacement to start: starts are slow, and kills would be rare. */
async function killAndReplace(stage: Stage, traits: WorkerTraits = {}): Promise<void> {
  const victim = stage.fleet.alive.length > 1 ? someone(stage) : undefined
  if (!victim) return
  await stage.fleet.kill(victim)
  stage.fleet.startSoon(traits)
}

async function freezeSomeone(stage: Stage, longestMs: number): Promise<void> {
  const victim = someone(stage)
  if (!victim) return
  stage.fleet.freeze(victim)
  await stage.pause(100, longestMs)
  stage.fleet.thaw(victim)
}

/** Switches faults on for all workers, and off again. */
async function burst(stage: Stage, longestMs: number): Promise<void> {
  for (const worker of stage.fleet.alive) stage.fleet.switchFaults(worker, true)
  await stage.pause(longestMs / 2, longestMs)
  for (const worker of stage.fleet.alive) stage.fleet.switchFaults(worker, false)
}

async function troubleNetwork(stage: Stage, longestMs: number): Promise<void> {
  const proxy = someone(stage)?.proxy
  if (!proxy) return
  const what = stage.chance.pick(["cut", "stall", "answers", "half-open", "slow"])
  if (what === "cut") proxy.cut()
  if (what === "stall") proxy.stall()
  if (what === "answers") proxy.stall("answers")
  if (what === "half-open") proxy.halfOpen()
  if (what === "slow") proxy.slow({ latencyMs: 100, bytesPerSecond: 20_000 })
  await stage.pause(100, longestMs)
  if (what === "answers") proxy.cutOnce()
  proxy.heal()
}

/** Repeats a step, with pauses. */
const repeatedly =
  (step: (stage: Stage) => Promise<void>, leastPauseMs: number, mostPauseMs: number) =>
  async (stage: Stage) => {
    while (stage.goesOn) {
      await step(stage)
      await stage.pause(leastPauseMs, mostPauseMs)
    }
  }

const functions = new WeakMap<Stage, Functions>()

function functionsOf(stage: Stage): Functions {
  const known = functions.get(stage) ?? new Functions(stage)
  functions.set(stage, known)
  return known
}

export const SCENARIOS: readonly Scenario[] = [
  {
    ...USUAL,
    name: "kills",
    says: "Workers are killed mid-run (SIGKILL) and replaced.",
    begin: (stage) => start(stage, 3),
    happen: repeatedly((stage) => killAndReplace(stage), 200, 800),
  },
  {
    ...USUAL,
    name: "freezes",
    says: "Workers are suspended for up to two leases (SIGSTOP), then continue as if nothing had happened.",
    begin: (stage) => start(stage, 3),
    happen: async (stage) => {
      const freezing = repeatedly((it) => freezeSomeone(it, 2 * LEASE_MS), 100, 500)
      await Promise.all([freezing(stage), freezing(stage)])
    },
  },
  {
    ...USUAL,
    // The original delivers items as the index returns them, and does not renew its claims.
    projection: "ALL",
    processingTimeoutMs: 10_000,
    name: "rolling update",
    isGentle: true,
    says: "Workers of the original are replaced one by one by new ones, and back, as in a rollback.",
    begin: (stage) => start(stage, 3, { version: "original" }),
    happen: repeatedly(
      async (stage) => {
        const [oldest] = stage.fleet.alive
        const isRollback = stage.fleet.all.length % 9 >= 6
        await stage.fleet.start({ version: isRollback ? "original" : "new" })
        if (oldest) await stage.fleet.stop(oldest)
      },
      200,
      600,
    ),
  },
  {
    ...USUAL,
    name: "scale out and in",
    isGentle: true,
    says: "The fleet grows to up to six workers and shrinks to one, with graceful stops.",
    begin: (stage) => start(stage, 1),
    happen: repeatedly(
      async (stage) => {
        const wanted = stage.chance.between(1, 6)
        const { fleet } = stage
        if (fleet.alive.length < wanted) await start(stage, wanted - fleet.alive.length)
        else await Promise.all(fleet.alive.slice(wanted).map((worker) => fleet.stop(worker)))
      },
      300,
      1000,
    ),
  },
  {
    ...USUAL,
    name: "throttling",
    says: "In bursts, DynamoDB refuses 60 % of the requests, including the SDK's retries.",
    publisherFaults: { throttle: 0.1 },
    begin: (stage) => start(stage, 3, { faults: THROTTLES }),
    happen: repeatedly((stage) => burst(stage, 1500), 200, 1000),
  },
  {
    ...USUAL,
    name: "lost responses",
    says: "12 % of the responses are lost after the request was executed, 8 % of the requests before; some conflict, some are slow.",
    publisherFaults: { loseAnswer: 0.1, failBeforeSending: 0.05, conflict: 0.02 },
    begin: (stage) => start(stage, 3, { faults: LOST }),
    happen: repeatedly((stage) => burst(stage, 4000), 100, 300),
  },
  {
    ...USUAL,
    name: "index lag",
    isGentle: true,
    says: "Each worker sees the index as it was up to 5 s ago.",
    begin: (stage) => start(stage, 3, { faults: LAG }),
    happen: repeatedly((stage) => burst(stage, 20_000), 100, 200),
  },
  {
    ...USUAL,
    name: "clock skew",
    isGentle: true,
    says: "The workers' clocks are a minute slow, half a minute slow, correct, and a minute fast; leases are long enough for that.",
    // Four times the difference between any two clocks, and the longest handler.
    processingTimeoutMs: 4 * 2 * MINUTE_MS + LEASE_MS / 3,
    // A retry scheduled by a fast clock is due two minutes later on a slow one.
    settleWithinMs: 4 * MINUTE_MS,
    begin: async (stage) => {
      const offsets = [-MINUTE_MS, -MINUTE_MS / 2, 0, MINUTE_MS]
      await Promise.all(offsets.map((clockOffsetMs) => stage.fleet.start({ clockOffsetMs })))
    },
    happen: repeatedly(
      async (stage) => {
        const worker = someone(stage)
        const clockOffsetMs = stage.chance.between(-MINUTE_MS, MINUTE_MS)
        worker?.process.setClock(clockOffsetMs)
      },
      500,
      2000,
    ),
  },
  {
    ...USUAL,
    name: "network cuts",
    says: "Connections to the database are cut, stalled, half-opened and slowed.",
    begin: (stage) => start(stage, 3, { isProxied: true }),
    happen: repeatedly((stage) => troubleNetwork(stage, 1500), 50, 500),
  },
  {
    ...USUAL,
    name: "overruns",
    says: "Some handlers take up to one and a half times their processingTimeoutMs, then succeed or fail.",
    processingTimeoutMs: 1000,
    longestHandlerMs: 1500,
    begin: (stage) => start(stage, 3),
    happen: async () => {},
  },
  {
    ...USUAL,
    name: "poison",
    says: "One event kills every worker that handles it; dead workers are replaced at once.",
    maxRetries: 3,
    processingTimeoutMs: 1500,
    longestHandlerMs: 500,
    poison: 1,
    begin: (stage) => start(stage, 3),
    happen: repeatedly(
      async (stage) => {
        if (stage.fleet.alive.length < 3) stage.fleet.startSoon()
      },
      50,
      100,
    ),
  },
  {
    ...USUAL,
    name: "lost table",
    says: "The table disappears, and comes back with slightly older data.",
    begin: (stage) => start(stage, 3),
    happen: async (stage) => {
      await stage.pause(1000, 2000)
      await stage.loseAndRestoreTable(1000)
    },
  },
  {
    ...USUAL,
    name: "short invocations",
    says: "No process runs for long: functions are invoked by the table's stream and by a schedule, cut off, suspended, given up and started cold.",
    hasStream: true,
    // A handler that outlasts its invocation is cut off with it.
    longestHandlerMs: 500,
    begin: async () => {},
    happen: async (stage) => {
      const functions = functionsOf(stage)
      const sweeping = repeatedly(async () => void (await functions.invoke()), 300, 700)
      await Promise.all([feed(stage, functions, await stage.openStream()), sweeping(stage)])
    },
    settle: async (stage) => void (await functionsOf(stage).invoke()),
  },
  {
    ...USUAL,
    name: "all together",
    says: "Kills, freezes, cuts, throttling, lost responses, a lagging index, clocks up to half a second off, and poison.",
    processingTimeoutMs: 6000,
    poison: 1,
    publisherFaults: { throttle: 0.05, loseAnswer: 0.05 },
    begin: async (stage) => {
      for (let i = 0; i < 4; i++) await stage.fleet.start(troubledTraits(stage))
    },
    happen: async (stage) => {
      const killing = repeatedly((it) => killAndReplace(it, troubledTraits(it)), 1500, 3000)
      const freezing = repeatedly((it) => freezeSomeone(it, 8000), 500, 2000)
      const faulting = repeatedly((it) => burst(it, 2000), 300, 1000)
      const cutting = repeatedly((it) => troubleNetwork(it, 1500), 300, 1000)
      await Promise.all([killing(stage), freezing(stage), faulting(stage), cutting(stage)])
    },
  },
]

function troubledTraits({ chance }: Stage): WorkerTraits {
  return {
    isProxied: true,
    clockOffsetMs: chance.between(-500, 500),
    faults: { ...LOST, loseAnswer: 0.05, failBeforeSending: 0.05, throttle: 0.2, indexLagMs: 3000 },
  }
}
