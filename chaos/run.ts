/** `npm run chaos`: plays the scenarios, prints a table while it does, and says how to repeat what broke. */
import { type EngineName, startDynamoDB } from "../packages/dynamodb-dev/src/index.ts"
import { type ChaosArguments, readArguments, repeatCommand, UsageError } from "./command-line.ts"
import { COLUMNS, line, rowOf } from "./figures.ts"
import { writeReport } from "./report.ts"
import { type Outcome, Stage } from "./stage.ts"

const SHOW_EVERY_MS = 1000
/** Of what broke in one scenario. */
const SHOWN = 20

async function main(): Promise<void> {
  const args = readArguments(process.argv.slice(2))
  const outcomes = new Map<string, Outcome[]>()
  const failures: string[] = []
  for (const name of args.engines) {
    outcomes.set(name, [])
    for (const seed of args.seeds) {
      const played = await playAll(args, name, seed, failures)
      outcomes.get(name)?.push(...played)
    }
  }
  if (args.isReported) writeReport({ ...args, outcomes })
  if (failures.length === 0) {
    console.log("\nNothing was lost, and no promise was broken.")
    return
  }
  console.log(`\n${failures.join("\n\n")}`)
  process.exitCode = 1
}

/** Each engine and seed begins with an empty database. */
async function playAll(
  args: ChaosArguments,
  engine: EngineName,
  seed: string,
  failures: string[],
): Promise<Outcome[]> {
  const database = await startDynamoDB({ engine })
  console.log(`\n${database.engine}, seed ${seed}\n${line(COLUMNS)}`)
  const outcomes: Outcome[] = []
  try {
    for (const scenario of args.scenarios) {
      const { endpoint } = database
      const stage = new Stage(scenario, {
        endpoint,
        seed,
        durationMs: args.minutes * 60_000,
        rate: args.rate,
      })
      const outcome = await watched(stage, scenario.name)
      outcomes.push(outcome)
      console.log(line(rowOf([outcome])))
      if (outcome.broken.length === 0) continue
      const repeat = repeatCommand(args, engine, seed, scenario.name)
      const broken = [...outcome.broken.slice(0, SHOWN), ...moreThan(SHOWN, outcome.broken.length)]
      const failure = [
        `BROKEN: ${scenario.name} (${engine}, seed ${seed})`,
        ...broken,
        ...outcome.stories.flatMap(({ id, lines }) => [
          `What became of ${id}:`,
          ...lines.map((text) => `  ${text}`),
        ]),
        `Repeat: ${repeat}`,
      ].join("\n  ")
      // At once, since the run may go on for hours; and at the end, where it is looked for.
      console.log(failure)
      failures.push(failure)
    }
  } finally {
    await database.stop()
  }
  return outcomes
}

function moreThan(shown: number, count: number): string[] {
  return count > shown ? [`and ${count - shown} more`] : []
}

/** Shows on a terminal how far a scenario is. */
async function watched(stage: Stage, name: string): Promise<Outcome> {
  if (!process.stdout.isTTY) return stage.play()
  const startedAt = performance.now()
  const timer = setInterval(() => {
    const { published, runs, workers } = stage.progress()
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    const text = `${name}: ${published} published, ${runs} handled, ${workers} workers, ${seconds} s`
    process.stdout.write(`\r\x1b[K${text}`)
  }, SHOW_EVERY_MS)
  try {
    return await stage.play()
  } finally {
    clearInterval(timer)
    process.stdout.write("\r\x1b[K")
  }
}

try {
  await main()
} catch (error) {
  console.error(error instanceof UsageError ? error.message : error)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
