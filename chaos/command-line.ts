/** The command line of `npm run chaos`. */
import { randomInt } from "node:crypto"
import { parseArgs } from "node:util"
import { type EngineName, parseEngineName } from "../packages/dynamodb-dev/src/index.ts"
import type { Scenario } from "./scenario.ts"
import { SCENARIOS } from "./scenarios.ts"

const USAGE = `Usage: npm run chaos -- [--seed S]... [--engine NAME]... [--scenario NAME]... [--minutes N] [--report]

Injects faults into a fleet of worker processes and checks that nothing is lost.

  --seed S         replays the faults of this seed (default: a new seed, which is printed)
  --engine NAME    dynoxide, dynamodb-local, ... (default: dynoxide)
  --scenario NAME  ${SCENARIOS.map(({ name }) => name).join(", ")} (default: all)
  --minutes N      how long each scenario injects faults (default: 0.2)
  --rate N         events published per second (default: 60)
  --report         writes the figures to docs/reliability.md
  --help`

export interface ChaosArguments {
  seeds: string[]
  engines: EngineName[]
  scenarios: Scenario[]
  minutes: number
  rate: number
  isReported: boolean
}

/** The command line is invalid or asks for help; the message is all there is to print. */
export class UsageError extends Error {}

export function readArguments(args: string[]): ChaosArguments {
  try {
    const { values } = parseArgs({
      args,
      options: {
        seed: { type: "string", multiple: true },
        engine: { type: "string", multiple: true },
        scenario: { type: "string", multiple: true },
        minutes: { type: "string" },
        rate: { type: "string" },
        report: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    })
    if (values.help) throw new UsageError("")
    return {
      seeds: values.seed ?? [String(randomInt(1_000_000))],
      engines: (values.engine ?? ["dynoxide"]).map((name) => parseEngineName(name, "--engine")),
      scenarios: values.scenario?.map(scenarioNamed) ?? [...SCENARIOS],
      minutes: positive("minutes", values.minutes ?? "0.2"),
      rate: positive("rate", values.rate ?? "60"),
      isReported: values.report ?? false,
    }
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n\n${USAGE}`.trim())
  }
}

function scenarioNamed(name: string): Scenario {
  const scenario = SCENARIOS.find((candidate) => candidate.name === name)
  if (!scenario) throw new TypeError(`--scenario: no scenario is named ${JSON.stringify(name)}`)
  return scenario
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0 && Number.isFinite(value)))
    throw new TypeError(`--${name}: expected a number above 0, got ${text}`)
  return value
}

/** The command that replays one scenario. */
export function repeatCommand(
  { minutes, rate }: Pick<ChaosArguments, "minutes" | "rate">,
  engine: string,
  seed: string,
  scenario: string,
): string {
  return `npm run chaos -- --engine ${engine} --seed ${seed} --scenario ${JSON.stringify(scenario)} --minutes ${minutes} --rate ${rate}`
}
