/** The steps that histories are made of, as plain data: so that a history can be pasted into a test. */

/** What happens to the requests of a step, in turn; when none is left, all goes well. */
export type Fate =
  /** Carried out, but the answer gets lost. */
  | "lost"
  /** Never arrives. */
  | "dropped"
  /** The worker's process ends before it is sent. */
  | "dies before"
  /** It is carried out, and the worker's process ends before the response comes. */
  | "dies after"

export type EventStep = {
  do: "claim" | "complete" | "fail" | "renew" | "release" | "recover" | "retry" | "discard"
  worker: number
  id: string
  fates?: readonly Fate[]
}

export type Step =
  /** Events occur `dueIn` milliseconds from now; stored by the outbox, or in a transaction that the helper commits. */
  | {
      do: "publish" | "commit"
      worker: number
      ids: readonly string[]
      dueIn: number
      fates?: readonly Fate[]
    }
  /** A worker reads the index; what it has read is what it claims and recovers later, however old by then. */
  | { do: "look"; worker: number }
  | EventStep
  /** A write of the past arrives once more. */
  | { do: "late"; write: number }
  /** Somebody deletes an item, or removes its type. */
  | { do: "delete" | "damage"; id: string }
  /** Time passes for all. */
  | { do: "pass"; ms: number }
  /** A worker's clock is set that far off the true time. */
  | { do: "skew"; worker: number; ms: number }
  /** A worker's process ends, and another takes its place. */
  | { do: "die"; worker: number }

/** A step as the code that makes it. */
function renderStep(step: Step): string {
  const properties = Object.entries(step).map(([name, value]) => `${name}: ${renderValue(value)}`)
  return `{ ${properties.join(", ")} }`
}

function renderValue(value: unknown): string {
  return Array.isArray(value) ? `[${value.map((v) => JSON.stringify(v)).join(", ")}]` : JSON.stringify(value)
}

/** A history that broke a promise, as a test to paste into `counter-examples.e2e.ts`. */
export function renderAsTest(title: string, setting: object, steps: readonly Step[]): string {
  const settings = Object.entries(setting).map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
  return [
    `test(${JSON.stringify(title)}, () =>`,
    `  replay({ ${settings.join(", ")} }, [`,
    ...steps.map((step) => `    ${renderStep(step)},`),
    "  ]))",
  ].join("\n")
}
