// Owns dynoxide: where its binary is and how to run it.
import { createRequire } from "node:module"
import type { Availability, Engine } from "./engine.ts"
import { startEngineProcess } from "./engine-process.ts"

const require = createRequire(import.meta.url)

/** The npm package that holds nothing but the binary for a platform. */
function packageFor(platform: string, architecture: string): string {
  return `@dynoxide/${platform}-${architecture}`
}

function findBinary(packageName: string): string | undefined {
  try {
    return require.resolve(`${packageName}/dynoxide${process.platform === "win32" ? ".exe" : ""}`)
  } catch {
    return undefined
  }
}

/** dynoxide, a DynamoDB on SQLite: in memory, on loopback, ready in a few milliseconds. */
export function dynoxide(platform: string = process.platform, architecture: string = process.arch): Engine {
  const packageName = packageFor(platform, architecture)
  return {
    name: "dynoxide",

    async availability(): Promise<Availability> {
      const binary = findBinary(packageName)
      if (binary !== undefined) return { available: true, how: `the binary of ${packageName}` }
      return {
        available: false,
        reason: `the package ${packageName} is not installed`,
        remedy: `npm install --no-save ${packageName}@1.2.1`,
      }
    },

    async start(options) {
      const binary = findBinary(packageName)
      if (binary === undefined) throw new Error(`the package ${packageName} is not installed`)
      return await startEngineProcess(
        {
          engine: "dynoxide",
          file: binary,
          args: (port) => ["--host", "127.0.0.1", "--port", String(port)],
          host: "127.0.0.1",
          listening: /^Dynoxide listening on /m,
          portTaken: /already in use|Address in use/,
        },
        options,
      )
    },
  }
}
