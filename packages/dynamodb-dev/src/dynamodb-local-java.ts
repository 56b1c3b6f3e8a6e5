// Owns DynamoDB Local by Java: finding a Java that is new enough and the jar, and how to run it.
import { execFile } from "node:child_process"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import type { Availability, Engine } from "./engine.ts"
import { startEngineProcess } from "./engine-process.ts"

const require = createRequire(import.meta.url)

/** The oldest Java that runs the DynamoDB Local we use. */
const OLDEST_JAVA = 17

/** `java -version` takes under 100 ms; it is asked by a stub on some machines, which may open a dialogue. */
const JAVA_ANSWERS_WITHIN_MS = 10_000

/** The Java to use: that of `JAVA_HOME`, else the first on the path. */
function javaCommand(env: NodeJS.ProcessEnv): string {
  return env.JAVA_HOME ? join(env.JAVA_HOME, "bin", "java") : "java"
}

/** The folder with AWS's own jar; it is installed with a package because its licence forbids handing it on. */
function jarFolder(): string | undefined {
  try {
    return dirname(require.resolve("amplify-dynamodb-simulator/emulator/DynamoDBLocal.jar"))
  } catch {
    return undefined
  }
}

/** The major version in what `java -version` prints, such as 17 or, for 1.8, 8. */
export function javaMajorVersion(printed: string): number | undefined {
  const match = /version "(?:1\.)?(\d+)/.exec(printed)
  return match?.[1] === undefined ? undefined : Number(match[1])
}

async function javaAvailability(java: string): Promise<Availability> {
  const remedy = `install Java ${OLDEST_JAVA} or newer (Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17), or set JAVA_HOME`
  try {
    const { stderr, stdout } = await promisify(execFile)(java, ["-version"], {
      timeout: JAVA_ANSWERS_WITHIN_MS,
    })
    const version = javaMajorVersion(stderr + stdout)
    if (version !== undefined && version >= OLDEST_JAVA) {
      return { available: true, how: `${java}, version ${version}` }
    }
    return { available: false, reason: `${java} is version ${version ?? "unknown"}`, remedy }
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? "not found" : (error as Error).message
    return { available: false, reason: `${java}: ${why.trim()}`, remedy }
  }
}

/** DynamoDB Local, AWS's own, run by the Java of this machine. It listens on all interfaces: it has no option for it. */
export function dynamodbLocalJava(env: NodeJS.ProcessEnv = process.env): Engine {
  return {
    name: "dynamodb-local-java",

    async availability() {
      if (jarFolder() === undefined) {
        return {
          available: false,
          reason: "the package amplify-dynamodb-simulator, which holds the jar, is not installed",
          remedy: "npm install",
        }
      }
      return await javaAvailability(javaCommand(env))
    },

    async start(options) {
      const cwd = jarFolder()
      if (cwd === undefined) throw new Error("the package amplify-dynamodb-simulator is not installed")
      return await startEngineProcess(
        {
          engine: "dynamodb-local-java",
          file: javaCommand(env),
          args: (port) => [
            // These two make it say when it has its port; by itself it is silent.
            "-Dorg.eclipse.jetty.util.log.class=org.eclipse.jetty.util.log.StdErrLog",
            "-Dorg.eclipse.jetty.server.AbstractConnector.LEVEL=INFO",
            // No file in the temporary folder, which would stay there when the process is killed.
            "-XX:-UsePerfData",
            "-Djava.library.path=./DynamoDBLocal_lib",
            "-jar",
            "DynamoDBLocal.jar",
            "-inMemory",
            "-sharedDb",
            "-port",
            String(port),
          ],
          cwd,
          env: { DDB_LOCAL_TELEMETRY: "0" },
          listening: /Started ServerConnector/,
          portTaken: /BindException|Failed to bind/,
        },
        options,
      )
    },
  }
}
