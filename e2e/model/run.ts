/** `npm run model`: the long form. Flags: --histories N, --seed N, --engine NAME. */
import { parseArgs } from "node:util"
import { parseEngineName, startDynamoDB } from "../../packages/dynamodb-dev/src/index.ts"
import { openLaboratory } from "./laboratory.ts"
import { runRandomHistories } from "./random-histories.ts"

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"

const { values } = parseArgs({
  options: {
    histories: { type: "string", default: "1000" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    engine: { type: "string", default: "dynoxide" },
  },
})
const histories = Number(values.histories)
const seed = Number(values.seed)
if (!Number.isInteger(histories) || histories < 1)
  throw new Error(`--histories ${values.histories}: allowed is a whole number from 1`)
if (!Number.isInteger(seed)) throw new Error(`--seed ${values.seed}: allowed is a whole number`)

const database = await startDynamoDB({ engine: parseEngineName(values.engine, "--engine") })
const laboratory = await openLaboratory(database.endpoint)
try {
  await run()
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
} finally {
  laboratory.close()
  await database.stop()
}

async function run(): Promise<void> {
  const began = performance.now()
  const progress = (done: number) => {
    if (process.stdout.isTTY) process.stdout.write(`\r${done} of ${histories} histories`)
  }
  const tally = await runRandomHistories(laboratory, {
    histories,
    seed,
    onHistory: (so) => progress(so.histories),
  })
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  const kinds = Object.entries(tally.kinds).sort(([, a], [, b]) => b - a)
  if (process.stdout.isTTY) process.stdout.write("\r")
  console.log(
    `${tally.histories} histories, ${tally.steps} steps, seed ${seed}, ${database.engine}, ${seconds} s: every promise kept`,
  )
  console.log(`  ${kinds.map(([kind, steps]) => `${kind} ${steps}`).join(", ")}`)
}
