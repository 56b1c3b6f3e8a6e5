// Runs the measures and writes the report.
//
//   npm run bench                     all measures, about ten minutes
//   npm run bench -- --only drain     one or several (comma-separated) of them; the report keeps the results of the others
//   npm run bench:quick               counts only, in small sizes, writes nothing; fails when a promise is broken that no slow
//                                     machine can break
import { parseArgs } from "node:util"
import { type Lab, withLab } from "./lab.ts"
import { batchingMeasure } from "./measures/batching.ts"
import { coldStartMeasure } from "./measures/cold-start.ts"
import { crashMeasure } from "./measures/crash.ts"
import { diagnosticsMeasure } from "./measures/diagnostics.ts"
import { drainMeasure } from "./measures/drain.ts"
import { fleetMeasure } from "./measures/fleet.ts"
import { idleMeasure } from "./measures/idle.ts"
import { invocationsMeasure } from "./measures/invocations.ts"
import { latencyMeasure } from "./measures/latency.ts"
import { memoryMeasure } from "./measures/memory.ts"
import { openTelemetryMeasure } from "./measures/opentelemetry.ts"
import { orderMeasure } from "./measures/order.ts"
import { remoteLatencyMeasure } from "./measures/remote-latency.ts"
import { streamMeasure } from "./measures/stream.ts"
import { unitsMeasure } from "./measures/units.ts"
import { describeMachine, type Machine, saveResult } from "./report/results.ts"
import { writeReport } from "./report/write-report.ts"
import type { Measure, Target } from "./target.ts"

interface Step {
  name: string
  targets(result: never): Target[]
  run(lab: Lab, machine: Machine): Promise<Target[]>
}

function step<Result>({ name, run, targets }: Measure<Result>): Step {
  return {
    name,
    targets,
    run: async (lab, machine) => {
      lab.log(`${name}:`)
      const result = await run(lab)
      if (!lab.settings.isQuick) await saveResult(name, machine, result)
      return targets(result)
    },
  }
}

/** Those of a group run at once: they wait most of the time and don't disturb each other. */
const GROUPS: Step[][] = [
  [step(drainMeasure)],
  [step(fleetMeasure)],
  [step(unitsMeasure)],
  [step(orderMeasure)],
  [step(crashMeasure)],
  [step(diagnosticsMeasure)],
  [step(batchingMeasure)],
  [step(latencyMeasure)],
  [step(streamMeasure)],
  [step(invocationsMeasure)],
  [step(coldStartMeasure)],
  [step(openTelemetryMeasure)],
  [step(remoteLatencyMeasure), step(idleMeasure)],
  [step(memoryMeasure)],
]

/** What counts instead of timing: all that the quick mode needs to look at. */
const COUNTING = ["fleet", "units", "order", "batching", "idle", "stream", "cold-start"]

// The SDK's warning about the age of Node would be printed by every worker process.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true"

const { values } = parseArgs({
  options: { quick: { type: "boolean", default: false }, only: { type: "string" } },
})
const isQuick = values.quick
const only = values.only?.split(",") ?? (isQuick ? COUNTING : undefined)
const unknown = only?.filter((name) => !GROUPS.flat().some((known) => known.name === name)) ?? []
if (unknown.length > 0)
  throw new Error(`No such measure: ${unknown}. There are: ${GROUPS.flat().map(({ name }) => name)}.`)

const start = performance.now()
// An event that is never delivered would be waited for without end.
const MINUTES_ALLOWED = isQuick ? 5 : 60
setTimeout(() => {
  process.stderr.write(`Still running after ${MINUTES_ALLOWED} minutes: has an event been lost?\n`)
  process.exit(1)
}, MINUTES_ALLOWED * 60_000).unref()
const targets = await withLab(isQuick, async (lab) => {
  const machine = describeMachine(lab)
  const found: Target[] = []
  for (const group of GROUPS) {
    const chosen = group.filter(({ name }) => !only || only.includes(name))
    found.push(...(await Promise.all(chosen.map(({ run }) => run(lab, machine)))).flat())
  }
  return found
})
if (!isQuick) await writeReport(GROUPS.flat())

// Timings are never a reason to fail.
const judged = isQuick ? targets.filter(({ dependsOnTime }) => !dependsOnTime) : targets
for (const { figure, toReach, measured, isMet } of judged) {
  process.stdout.write(`${isMet ? "  ok  " : "MISSED"} ${figure}: ${measured} (${toReach})\n`)
}
process.stdout.write(`Took ${Math.round((performance.now() - start) / 1000)} s.\n`)
if (targets.some(({ isMet, dependsOnTime }) => !isMet && !dependsOnTime)) process.exitCode = 1
