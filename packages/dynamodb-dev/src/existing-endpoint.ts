// Owns the DynamoDB that somebody else runs, at DYNAMODB_ENDPOINT: it is used, never started or ended.
import type { Availability, Engine } from "./engine.ts"
import { untilAnswering } from "./readiness.ts"

const ANSWERS_WITHIN_MS = 5_000

/** The DynamoDB at `DYNAMODB_ENDPOINT`. */
export function existingEndpoint(env: NodeJS.ProcessEnv = process.env): Engine {
  const endpoint = env.DYNAMODB_ENDPOINT || undefined
  const remedy = "set DYNAMODB_ENDPOINT to the URL of a DynamoDB that runs, such as http://127.0.0.1:8000"
  return {
    name: "endpoint",

    async availability(): Promise<Availability> {
      if (endpoint === undefined) return { available: false, reason: "DYNAMODB_ENDPOINT is not set", remedy }
      if (!URL.canParse(endpoint)) {
        return {
          available: false,
          reason: `DYNAMODB_ENDPOINT is not a URL: ${JSON.stringify(endpoint)}`,
          remedy,
        }
      }
      try {
        await untilAnswering(endpoint, { timeoutMs: ANSWERS_WITHIN_MS })
        return { available: true, how: endpoint }
      } catch (error) {
        return { available: false, reason: (error as Error).message, remedy }
      }
    },

    async start(options) {
      if (endpoint === undefined) throw new Error("DYNAMODB_ENDPOINT is not set")
      if (options.port !== undefined) throw new Error("the DynamoDB at DYNAMODB_ENDPOINT has its own port")
      await untilAnswering(endpoint, { timeoutMs: options.readyTimeoutMs })
      return { engine: "endpoint", endpoint, stop: async () => {} }
    },
  }
}
