// Owns `npm run dynamodb`: a DynamoDB to play with, until Ctrl-C.
import { parseArgs } from "node:util"
import { connectionHints } from "./connection-hints.ts"
import { ENGINE_NAMES, parseEngineName } from "./engine-names.ts"
import { type StartDynamoDBOptions, startDynamoDB } from "./start-dynamodb.ts"

const USAGE = `Usage: npm run dynamodb -- [--engine NAME] [--port N]

Starts a DynamoDB to play with, in memory, and runs until Ctrl-C.

  --engine NAME  ${ENGINE_NAMES.join(", ")}
                 (default: DYNAMODB_ENGINE, else the first that runs)
  --port N       1 to 65535 (default: a free one)
  --help`

/** The command line is wrong: the message is all that helps. */
class UsageError extends Error {}

function readArguments(args: string[]): StartDynamoDBOptions | "help" {
  try {
    const { values } = parseArgs({
      args,
      options: {
        engine: { type: "string" },
        port: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    })
    if (values.help === true) return "help"
    return {
      ...(values.engine === undefined ? {} : { engine: parseEngineName(values.engine, "--engine") }),
      ...(values.port === undefined ? {} : { port: parsePort(values.port) }),
    }
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n\n${USAGE}`)
  }
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) {
    throw new TypeError(`--port: expected a whole number from 1 to 65535, got ${JSON.stringify(text)}`)
  }
  return port
}

const LOOK_AT_PARENT_EVERY_MS = 500

/**
 * Whether the shell in which npm runs a script is gone. A signal to npm ends that shell, but doesn't come through to
 * us. Started without npm, this process may well be meant to outlive its shell.
 */
function orphanedByNpm(parentAtStart: number): boolean {
  return process.env.npm_lifecycle_event !== undefined && process.ppid !== parentAtStart
}

/** Resolves at the first Ctrl-C or request to end. A second one ends this process at once, and the engine with it. */
function untilInterrupted(): Promise<"interrupted"> {
  return new Promise((resolve) => {
    const parentAtStart = process.ppid
    // This timer also keeps Node running: neither a signal handler nor an engine does.
    const timer = setInterval(() => {
      if (orphanedByNpm(parentAtStart)) interrupt()
    }, LOOK_AT_PARENT_EVERY_MS)
    const interrupt = () => {
      clearInterval(timer)
      resolve("interrupted")
    }
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, interrupt)
  })
}

async function main(): Promise<void> {
  const options = readArguments(process.argv.slice(2))
  if (options === "help") {
    console.log(USAGE)
    return
  }
  // Of no use to somebody who only wants a database.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true"
  const interrupted = untilInterrupted()
  const database = await Promise.race([startDynamoDB(options), interrupted])
  // What is still starting ends with this process.
  if (database === "interrupted") process.exit()
  console.log(connectionHints(database))
  if (database.engine === "endpoint") {
    console.log("It runs already, at DYNAMODB_ENDPOINT: nothing was started.")
    process.exit()
  }
  console.log("All data is in memory and gone at the end. Ctrl-C ends it.")
  const end = await Promise.race([interrupted, ...(database.ended === undefined ? [] : [database.ended])])
  if (end !== "interrupted") throw new Error(`${database.engine} ended by itself`)
  await database.stop()
  console.log("\nDynamoDB ended.")
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exit(error instanceof UsageError ? 2 : 1)
})
