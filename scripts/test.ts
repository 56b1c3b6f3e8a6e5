/**
 * `npm test`: every stage of the proof, one after the other. Stops at the first that fails, and ends with one line that says
 * how it went.
 */
import { spawnSync } from "node:child_process"
import { performance } from "node:perf_hooks"
import pc from "picocolors"

/** npm scripts, the quickest first, so that a mistake shows early. */
const STAGES = ["lint", "typecheck", "test:unit", "test:package", "bench:quick", "test:e2e"]

const secondsSince = (start: number) => `${((performance.now() - start) / 1000).toFixed(0)} s`

const begun = performance.now()
for (const [index, stage] of STAGES.entries()) {
  console.log(pc.bold(`\n── ${stage} (${index + 1} of ${STAGES.length}) ──`))
  const start = performance.now()
  const { status, signal } = spawnSync("npm", ["run", "--silent", stage], { stdio: "inherit" })
  if (status !== 0) {
    const outcome = signal ? `was ended by ${signal}` : `failed with exit code ${status}`
    console.log(pc.red(`\n${stage} ${outcome} after ${secondsSince(start)}`))
    console.log(`stages: ${index} passed, 1 failed`)
    process.exit(1)
  }
  console.log(pc.green(`── ${stage} passed in ${secondsSince(start)} ──`))
}
console.log(pc.green(`\nAll ${STAGES.length} stages passed in ${secondsSince(begun)}: ${STAGES.join(", ")}`))
console.log(`stages: ${STAGES.length} passed, 0 failed`)
