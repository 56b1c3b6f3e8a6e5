// Owns the question whether a DynamoDB answers: it is put to the API itself.
import { setTimeout as delay } from "node:timers/promises"
import { type DynamoDBClient, ListTablesCommand } from "@aws-sdk/client-dynamodb"
import { clientFor } from "./client.ts"

/** How often a DynamoDB that starts is asked again. */
const ASK_EVERY_MS = 10

/** How long one question may wait for its response: a port may accept a connection long before anyone answers on it. */
const ONE_ANSWER_WITHIN_MS = 2_000

/** Asks for one table name. Resolves with the error when the answer is no success. */
async function ask(client: DynamoDBClient, withinMs: number): Promise<"success" | "none" | Error> {
  const abortSignal = AbortSignal.timeout(withinMs)
  try {
    await client.send(new ListTablesCommand({ Limit: 1 }), { abortSignal })
    return "success"
  } catch (error) {
    if (abortSignal.aborted) return "none"
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
        const left = Math.max(1, Math.ceil(deadline - performance.now()))
        const answer = await ask(client, Math.min(left, ONE_ANSWER_WITHIN_MS))
        if (answer === "success") return
        // A question that went unanswered says less than an earlier answer did.
        if (answer !== "none") problem = answer
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
