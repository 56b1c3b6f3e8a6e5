/**
 * Starts the one engine that a project's tests share. The project is named for it: `e2e:dynoxide`, `e2e:dynamodb-local`.
 *
 * DynamoDB Local needs Java or Docker. Where there is neither, its tests are skipped and two banners say so; in CI
 * that is a failure.
 */
import type { TestProject } from "vitest/node"
import {
  type EngineName,
  engineAvailability,
  parseEngineName,
  startDynamoDB,
} from "../packages/dynamodb-dev/src/index.ts"

declare module "vitest" {
  export interface ProvidedContext {
    /** Where the engine listens; null when it can't run on this machine. */
    endpoint: string | null
    /** Its name, as the project has it. */
    engine: EngineName
  }
}

export default async function setup(project: TestProject) {
  const engine = parseEngineName(project.name.replace("e2e:", ""), "the name of the project")
  project.provide("engine", engine)
  const availability = await engineAvailability(engine)
  if (!availability.available) {
    const banner = bannerFor(engine, availability)
    if (isCI()) throw new Error(`${banner}\nCI must run the suite on both engines.`)
    project.provide("endpoint", null)
    console.warn(banner)
    return () => console.warn(banner)
  }
  const database = await startDynamoDB({ engine })
  project.provide("endpoint", database.endpoint)
  return () => database.stop()
}

function isCI(): boolean {
  const { CI = "" } = process.env
  return !["", "0", "false"].includes(CI)
}

function bannerFor(engine: string, { reason, remedy }: { reason: string; remedy: string }): string {
  const rule = "!".repeat(100)
  return [
    "",
    rule,
    `  LEFT OUT: the end-to-end suite did NOT run on ${engine}.`,
    `  Why:       ${reason}`,
    `  To run it: ${remedy}`,
    rule,
    "",
  ].join("\n")
}
