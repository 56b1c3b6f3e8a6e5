// Owns the question whether a DynamoDB answers: it is put to the API itself.
import { setTimeout as delay } from "node:timers/promises"
import { type DynamoDBClient, ListTablesCommand } from "@aws-sdk/client-dynamodb"
import { clientFor } from "./client.ts"

/** How often a DynamoDB that starts is asked again. */
const ASK_EVERY_MS = 10

/** How long one question may wait for its answer: a port may accept a connection long before anyone answers on it. */
const ONE_ANSWER_WITHIN_MS = 2_000

/** Asks for one table name. Resolves with the error when there is no answer, with nothing when there is. */
async function ask(client: DynamoDBClient): Promise<Error | undefined> {
  try {
    await client.send(new ListTablesCommand({ Limit: 1 }), {
      abortSignal: AbortSignal.timeout(ONE_ANSWER_WITHIN_MS),
    })
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** Options of {@link untilAnswering}. */
export interface UntilAnsweringOptions {
  /** How long to go on asking, in milliseconds. */
  timeoutMs: number
  /** Looked at before each question: false puts it off; an exception ends the waiting with it. */
  mayAsk?: () => boolean
}

/**
 * Waits until the DynamoDB at `endpoint` answers.
 *
 * @throws Error when it doesn't in time; its `cause` is the last answer that was no success.
 */
export async function untilAnswering(endpoint: string, options: UntilAnsweringOptions): Promise<void> {
  const deadline = performance.now() + options.timeoutMs
  const client = clientFor(endpoint, { maxAttempts: 1 })
  let problem: Error | undefined
  try {
    for (;;) {
      if (options.mayAsk?.() ?? true) {
        problem = await ask(client)
        if (problem === undefined) return
      }
      if (performance.now() > deadline) break
      await delay(ASK_EVERY_MS)
    }
  } finally {
    client.destroy()
  }
  const lastAnswer = problem === undefined ? "" : `: ${problem.message || problem.name}`
  throw new Error(`nothing answered ListTables at ${endpoint} within ${options.timeoutMs} ms${lastAnswer}`, {
    cause: problem,
  })
}
