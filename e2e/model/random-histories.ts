/** Random histories, by fast-check: makes them, runs them, shrinks one that breaks a promise. */
import fc from "fast-check"
import { IDS, WORKERS } from "./circumstances.ts"
import { History, type Laboratory, type Setting } from "./history.ts"
import { type EventStep, type Fate, renderAsTest, type Step } from "./step.ts"
import type { World } from "./world.ts"

const worker = fc.nat({ max: WORKERS - 1 })
const ids = fc.uniqueArray(fc.constantFrom(...IDS), { minLength: 1, maxLength: IDS.length })
const fate = fc.constantFrom<Fate>("lost", "lost", "dropped", "dies before", "dies after")
/** Mostly none. */
const fates = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Fate[]>([]) },
  { weight: 1, arbitrary: fc.array(fate, { minLength: 1, maxLength: 3 }) },
  // The SDK gives up, and nobody knows what was written.
  { weight: 1, arbitrary: fc.constant<Fate[]>(["lost", "lost"]) },
)
const ms = (...choices: number[]) => fc.constantFrom(...choices)

/** A step whose details are left open until its turn comes: then one of those that make sense is chosen. */
interface OpenStep {
  kind: Step["do"]
  choices: readonly Step[]
}

const fixed = (step: Step): OpenStep => ({ kind: step.do, choices: [step] })

/** By whichever worker, about whichever event. */
const anyone = (kind: EventStep["do"]) =>
  fates.map((chosen): OpenStep => {
    const trouble = chosen.length > 0 ? { fates: chosen } : {}
    const choices = WORKER_INDEXES.flatMap((index) =>
      IDS.map((id): Step => ({ do: kind, worker: index, id, ...trouble })),
    )
    return { kind, choices }
  })

const WORKER_INDEXES = Array.from({ length: WORKERS }, (_, index) => index)
const anyEvent = (kind: "delete" | "damage"): OpenStep => ({
  kind,
  choices: IDS.map((id) => ({ do: kind, id })),
})
const LATE: OpenStep = {
  kind: "late",
  choices: Array.from({ length: 30 }, (_, write): Step => ({ do: "late", write })),
}

const publish = fc
  .record({ do: fc.constantFrom("publish", "commit"), worker, ids, dueIn: ms(0, -60_000, 5000), fates })
  .map(({ fates: chosen, ...step }) => fixed({ ...step, ...(chosen.length > 0 && { fates: chosen }) }))

const STEPS: fc.WeightedArbitrary<OpenStep>[] = [
  { weight: 4, arbitrary: publish },
  { weight: 8, arbitrary: worker.map((index) => fixed({ do: "look", worker: index })) },
  { weight: 12, arbitrary: anyone("claim") },
  { weight: 4, arbitrary: anyone("complete") },
  { weight: 8, arbitrary: anyone("fail") },
  { weight: 8, arbitrary: anyone("renew") },
  { weight: 3, arbitrary: anyone("release") },
  { weight: 8, arbitrary: anyone("recover") },
  { weight: 2, arbitrary: anyone("retry") },
  { weight: 1, arbitrary: anyone("discard") },
  { weight: 3, arbitrary: fc.constant(LATE) },
  { weight: 1, arbitrary: fc.constantFrom(anyEvent("delete"), anyEvent("damage")) },
  {
    weight: 6,
    arbitrary: ms(1, 500, 1000, 5000, 20_000, 31_000, 200_000).map((time) => fixed({ do: "pass", ms: time })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ worker, ms: ms(0, -60_000, -5000, 5000, 60_000) })
      .map((step) => fixed({ do: "skew", ...step })),
  },
  { weight: 1, arbitrary: worker.map((index) => fixed({ do: "die", worker: index })) },
]

const MAX_COMMANDS = 150

class StepCommand implements fc.AsyncCommand<World, History> {
  constructor(
    private readonly open: OpenStep,
    private readonly pick: number,
  ) {}

  check(world: Readonly<World>): boolean {
    return this.open.choices.some((step) => world.allows(step))
  }

  async run(world: World, history: History): Promise<void> {
    const allowed = this.open.choices.filter((step) => world.allows(step))
    await history.take(allowed[this.pick % allowed.length] as Step)
  }

  toString(): string {
    return this.open.kind
  }
}

export interface Tally {
  histories: number
  steps: number
  /** Steps by kind. */
  kinds: Record<string, number>
}

export interface Plan {
  histories: number
  seed: number
  /** Told of each history that went well. */
  onHistory?: (tally: Tally) => void
}

/**
 * Runs random histories, on both kinds of index by turns.
 * @throws an error whose message is the shrunk history, as a test to paste.
 */
export async function runRandomHistories(laboratory: Laboratory, plan: Plan): Promise<Tally> {
  const tally: Tally = { histories: 0, steps: 0, kinds: {} }
  let broken: { history: History; setting: Setting } | undefined
  const command = fc.tuple(fc.oneof(...STEPS), fc.nat({ max: 1000 }))
  const commands = fc.commands([command.map(([step, pick]) => new StepCommand(step, pick))], {
    maxCommands: MAX_COMMANDS,
    size: "max",
  })
  const projection = fc.constantFrom("ALL" as const, "KEYS_ONLY" as const)
  const property = fc.asyncProperty(projection, commands, async (chosen, history) => {
    const setting: Setting = { projection: chosen }
    const run = new History(laboratory, setting)
    await run.begin()
    try {
      await fc.asyncModelRun(() => ({ model: run.world, real: run }), history)
      await run.settleAll()
    } catch (error) {
      broken = { history: run, setting }
      throw error
    }
    tally.histories++
    tally.steps += run.steps.length
    for (const step of run.steps) tally.kinds[step.do] = (tally.kinds[step.do] ?? 0) + 1
    plan.onHistory?.(tally)
  })
  const details = await fc.check(property, { numRuns: plan.histories, seed: plan.seed })
  if (!details.failed) return tally
  const cause = details.errorInstance as Error
  if (!broken) throw cause
  const title = cause.message.split(/[:\n]/)[0] as string
  throw new Error(
    [
      `${cause.message}\n`,
      `Seed ${plan.seed}, shrunk ${details.numShrinks} times. To keep it, paste this into counter-examples.e2e.ts:\n`,
      renderAsTest(title, broken.setting, broken.history.steps),
      "",
    ].join("\n"),
    { cause },
  )
}
