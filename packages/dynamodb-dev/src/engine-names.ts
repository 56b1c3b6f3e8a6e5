// Owns the names of the engines: which there are, which stand for a group, and how a name given by a user is read.

/** The engines that can be started, in the order in which they are tried when none is named. */
export const CONCRETE_ENGINES = [
  "endpoint",
  "dynoxide",
  "dynamodb-local-java",
  "dynamodb-local-docker",
] as const

/** An engine that runs in exactly one way. */
export type ConcreteEngineName = (typeof CONCRETE_ENGINES)[number]

/** Every name a user may give; `dynamodb-local` takes Java where there is one, else Docker. */
export const ENGINE_NAMES = [...CONCRETE_ENGINES, "dynamodb-local"] as const

/** The name of an engine, or of a group of engines. */
export type EngineName = (typeof ENGINE_NAMES)[number]

/** The engines a name stands for, in the order in which they are tried. */
export function enginesBehind(name: EngineName): readonly ConcreteEngineName[] {
  return name === "dynamodb-local" ? ["dynamodb-local-java", "dynamodb-local-docker"] : [name]
}

/**
 * Reads the name of an engine.
 *
 * @param source - Where the name comes from (`--engine`, `DYNAMODB_ENGINE`), for the error.
 * @throws TypeError when there is no such engine; it lists those there are.
 */
export function parseEngineName(name: string, source: string): EngineName {
  const known = ENGINE_NAMES.find((candidate) => candidate === name)
  if (known === undefined) {
    throw new TypeError(
      `${source}: there is no engine ${JSON.stringify(name)}. Engines: ${ENGINE_NAMES.join(", ")}.`,
    )
  }
  return known
}
