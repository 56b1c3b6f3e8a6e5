/**
 * Journals the writes of a worker's client, at two places: inside of the injected faults, where it is known what the engine
 * has carried out, and outside of them, where it is known what the worker did not get through.
 */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import type { openJournal } from "./journal.ts"

type Write = ReturnType<typeof openJournal>

interface UpdateBody {
  Key?: { id?: { S?: string } }
  UpdateExpression?: string
  ExpressionAttributeNames?: Record<string, string>
  ExpressionAttributeValues?: Record<string, { S?: string }>
}

/** Both places are taken in the order of the calls: what is added first is furthest from the engine. */
export function journalWrites(client: DynamoDBClient, write: Write) {
  const add = (
    name: string,
    around: (id: string, body: UpdateBody, send: () => Promise<unknown>) => unknown,
  ) =>
    client.middlewareStack.add(
      (next) => async (args) => {
        const { headers, body } = args.request as {
          headers: Record<string, string>
          body: string | Uint8Array
        }
        const send = () => next(args)
        // biome-ignore lint/suspicious/noExplicitAny: the answer is handed on as it is
        if (!headers["x-amz-target"]?.endsWith(".UpdateItem")) return (await send()) as any
        const text = typeof body === "string" ? body : new TextDecoder().decode(body)
        const update = JSON.parse(text) as UpdateBody
        return around(update.Key?.id?.S ?? "", update, send)
      },
      { step: "deserialize", priority: "low", name },
    )
  return {
    inside: () =>
      add("journal-inside", async (id, body, send) => {
        const answer = await send()
        const { statusCode } = (answer as { response: { statusCode: number } }).response
        const status = statusOf(body)
        if (statusCode < 300 && status)
          write({ what: "written", id, status, isRecovery: isRecovery(body, status) })
        return answer
      }),
    outside: () =>
      add("journal-outside", async (id, _body, send) => {
        write({ what: "sent", id })
        try {
          const answer = await send()
          write({ what: "answered", id })
          const { headers, statusCode } = (
            answer as { response: { statusCode: number; headers: Record<string, string> } }
          ).response
          // Injected refusals; a condition that does not hold is answered by the engine itself.
          if (statusCode >= 300 && headers["x-amzn-requestid"] === "injected") {
            write({ what: "trouble", id, error: "refused" })
          } else if (statusCode >= 500) write({ what: "trouble", id, error: String(statusCode) })
          return answer
        } catch (error) {
          write({ what: "answered", id })
          write({ what: "trouble", id, error: String((error as { code?: string }).code ?? error) })
          throw error
        }
      }),
  }
}

/** The status that an update sets. */
function statusOf({ UpdateExpression = "", ExpressionAttributeValues = {} }: UpdateBody): string | undefined {
  const placeholder = /#status = (:\w+)/.exec(UpdateExpression)?.[1]
  return placeholder && ExpressionAttributeValues[placeholder]?.S
}

/** Whether it takes the event from its owner. */
function isRecovery(
  { UpdateExpression = "", ExpressionAttributeValues = {} }: UpdateBody,
  status: string,
): boolean {
  const errors = [":set_lastError", ":error"].map((name) => ExpressionAttributeValues[name]?.S)
  return (
    status !== "active" && UpdateExpression.includes("retryCount") && errors.includes("Processing timeout")
  )
}
