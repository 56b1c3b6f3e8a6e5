/** `npm run model`: the long form. Flags: --histories N, --seed N, --level builders|outbox|both, --engine NAME. */
import { parseArgs } from "node:util"
import { parseEngineName, startDynamoDB } from "../../packages/dynamodb-dev/src/index.ts"
import type { Level } from "./history.ts"
import { openLaboratory } from "./laboratory.ts"
import { runRandomHistories } from "./random-histories.ts"

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"

const { values } = parseArgs({
  options: {
    histories: { type: "string", default: "1000" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    level: { type: "string", default: "both" },
    engine: { type: "string", default: "dynoxide" },
  },
})
const histories = Number(values.histories)
const seed = Number(values.seed)
if (!Number.isInteger(histories) || histories < 1)
  throw new Error(`--histories ${values.histories}: allowed is a whole number from 1`)
if (!Number.isInteger(seed)) throw new Error(`--seed ${values.seed}: allowed is a whole number`)
const levels = (["builders", "outbox"] as const).filter((level) => ["both", level].includes(values.level))
if (levels.length === 0) throw new Error(`--level ${values.level}: allowed are builders, outbox and both`)

const database = await startDynamoDB({ engine: parseEngineName(values.engine, "--engine") })
const laboratory = await openLaboratory(database.endpoint)
try {
  for (const level of levels) await run(level)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
} finally {
  laboratory.close()
  await database.stop()
}

async function run(level: Level): Promise<void> {
  const began = performance.now()
  const progress = (done: number) => {
    if (process.stdout.isTTY) process.stdout.write(`\r${level}: ${done} of ${histories} histories`)
  }
  const tally = await runRandomHistories(laboratory, {
    level,
    histories,
    seed,
    onHistory: (so) => progress(so.histories),
  })
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  const kinds = Object.entries(tally.kinds).sort(([, a], [, b]) => b - a)
  if (process.stdout.isTTY) process.stdout.write("\r")
  console.log(
    `${level}: ${tally.histories} histories, ${tally.steps} steps, seed ${seed}, ${database.engine}, ${seconds} s: every promise kept`,
  )
  console.log(`  ${kinds.map(([kind, steps]) => `${kind} ${steps}`).join(", ")}`)
}
