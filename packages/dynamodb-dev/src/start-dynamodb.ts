// Owns the choice of an engine: which are tried, in which order, and what is said when none can run.
import { dynamodbLocalDocker } from "./dynamodb-local-docker.ts"
import { dynamodbLocalJava } from "./dynamodb-local-java.ts"
import { dynoxide } from "./dynoxide.ts"
import type { Availability, Engine, RunningDynamoDB } from "./engine.ts"
import {
  CONCRETE_ENGINES,
  type ConcreteEngineName,
  type EngineName,
  enginesBehind,
  parseEngineName,
} from "./engine-names.ts"
import { PortTakenError } from "./engine-process.ts"
import { existingEndpoint } from "./existing-endpoint.ts"

/** Options of {@link startDynamoDB}. */
export interface StartDynamoDBOptions {
  /**
   * The engine to start.
   *
   * @default the environment variable `DYNAMODB_ENGINE`; without it `DYNAMODB_ENDPOINT` if set, else the first of
   * dynoxide, DynamoDB Local by Java and DynamoDB Local by Docker that runs.
   */
  engine?: EngineName
  /**
   * The port to listen on, 1 to 65535.
   *
   * @default a free one
   */
  port?: number
  /**
   * How long an engine may take until its API answers, in milliseconds.
   *
   * @default 30000
   */
  readyTimeoutMs?: number
  /**
   * Where `DYNAMODB_ENGINE`, `DYNAMODB_ENDPOINT` and `JAVA_HOME` are read.
   *
   * @default process.env
   */
  env?: NodeJS.ProcessEnv
}

/** Why one engine didn't start, and what would help. */
export interface EngineFailure {
  engine: ConcreteEngineName
  reason: string
  remedy?: string
}

/** No engine could be started: the message says of each why, and how to get it. */
export class DynamoDBUnavailableError extends Error {
  override readonly name = "DynamoDBUnavailableError"
  readonly failures: readonly EngineFailure[]

  constructor(failures: readonly EngineFailure[], options?: ErrorOptions) {
    const lines = failures.map(({ engine, reason, remedy }) => {
      const help = remedy === undefined ? "" : `\n    to get it: ${remedy}`
      return `  ${engine}: ${reason.replaceAll("\n", "\n    ")}${help}`
    })
    super(`No DynamoDB could be started.\n${lines.join("\n")}`, options)
    this.failures = failures
  }
}

function engineOf(name: ConcreteEngineName, env: NodeJS.ProcessEnv): Engine {
  switch (name) {
    case "endpoint":
      return existingEndpoint(env)
    case "dynoxide":
      return dynoxide()
    case "dynamodb-local-java":
      return dynamodbLocalJava(env)
    case "dynamodb-local-docker":
      return dynamodbLocalDocker()
  }
}

/** The engines to try. One that somebody set DYNAMODB_ENDPOINT for stands alone: data must not go elsewhere silently. */
function candidates(options: StartDynamoDBOptions, env: NodeJS.ProcessEnv): readonly ConcreteEngineName[] {
  if (options.engine !== undefined) return enginesBehind(parseEngineName(options.engine, "engine"))
  if (env.DYNAMODB_ENGINE) return enginesBehind(parseEngineName(env.DYNAMODB_ENGINE, "DYNAMODB_ENGINE"))
  if (env.DYNAMODB_ENDPOINT) return ["endpoint"]
  return CONCRETE_ENGINES
}

/**
 * Starts a DynamoDB and resolves when it answers. It ends with `stop()`, and with this process however that ends; a
 * forgotten `stop()` doesn't keep the process running.
 *
 * @throws {@link DynamoDBUnavailableError} when no engine of those asked for could be started; PortTakenError when `port` is
 * not free.
 */
export async function startDynamoDB(options: StartDynamoDBOptions = {}): Promise<RunningDynamoDB> {
  const { port, readyTimeoutMs = 30_000, env = process.env } = options
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535)) {
    throw new TypeError(`port: expected a whole number from 1 to 65535, got ${port}`)
  }
  const failures: EngineFailure[] = []
  let cause: unknown
  for (const name of candidates(options, env)) {
    const engine = engineOf(name, env)
    // Asking whether somebody else's endpoint answers is what its start does, and start has the caller's time limit.
    const availability: Availability =
      name === "endpoint" && env.DYNAMODB_ENDPOINT
        ? { available: true, how: env.DYNAMODB_ENDPOINT }
        : await engine.availability()
    if (!availability.available) {
      failures.push({ engine: name, reason: availability.reason, remedy: availability.remedy })
      continue
    }
    try {
      return await engine.start({ port, readyTimeoutMs })
    } catch (error) {
      // Another engine couldn't have that port either.
      if (port !== undefined && error instanceof PortTakenError) throw error
      cause = error
      failures.push({ engine: name, reason: (error as Error).message })
    }
  }
  throw new DynamoDBUnavailableError(failures, { cause })
}

/**
 * Tells whether an engine can run on this machine, and if not, why. For `dynamodb-local` it is enough that Java or
 * Docker can run it.
 */
export async function engineAvailability(
  engine: EngineName,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Availability> {
  const missing: { reason: string; remedy: string }[] = []
  for (const name of enginesBehind(parseEngineName(engine, "engine"))) {
    const availability = await engineOf(name, env).availability()
    if (availability.available) return availability
    missing.push(availability)
  }
  return {
    available: false,
    reason: missing.map(({ reason }) => reason).join("; "),
    remedy: missing.map(({ remedy }) => remedy).join("; or "),
  }
}
