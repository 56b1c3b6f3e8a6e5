// Owns what every measure is given: the engines that run, the sizes of this run, and seeded chance.
import {
  type ConcreteEngineName,
  type EngineName,
  engineAvailability,
  startDynamoDB,
} from "@outbox-event-bus/dynamodb-dev"
import { type Settings, settingsFor } from "./settings.ts"

/** An engine as the measures see it. */
export interface LabEngine {
  name: ConcreteEngineName
  label: string
  endpoint: string
}

export interface Lab {
  engines: LabEngine[]
  settings: Settings
  log(line: string): void
  /** A name no table has had before. */
  newTableName(): string
}

const ENGINES: Array<{ name: EngineName; label: string }> = [
  { name: "dynoxide", label: "dynoxide" },
  { name: "dynamodb-local", label: "DynamoDB Local" },
]

/** Starts the engines, hands them to `work` and stops them. An engine that can't run here is left out, and said so. */
export async function withLab<T>(isQuick: boolean, work: (lab: Lab) => Promise<T>): Promise<T> {
  const log = (line: string) => process.stderr.write(`${line}\n`)
  const started: Array<LabEngine & { stop(): Promise<void> }> = []
  try {
    for (const { name, label } of ENGINES) {
      const availability = await engineAvailability(name)
      if (!availability.available) {
        log(`LEFT OUT: ${label}: ${availability.reason}. To get it: ${availability.remedy}`)
        continue
      }
      const database = await startDynamoDB({ engine: name })
      started.push({
        name: database.engine,
        label,
        endpoint: database.endpoint,
        stop: () => database.stop(),
      })
    }
    if (started.length === 0) throw new Error("No engine can run on this machine.")
    let tables = 0
    return await work({
      engines: started.map(({ name, label, endpoint }) => ({ name, label, endpoint })),
      settings: settingsFor(isQuick),
      log,
      newTableName: () => `bench-${++tables}`,
    })
  } finally {
    await Promise.all(started.map(({ stop }) => stop()))
  }
}
