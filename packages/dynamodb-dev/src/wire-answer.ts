// Owns answers of DynamoDB as they come over the wire, for those that no engine has given.
import { Readable } from "node:stream"

/** As much of an HTTP answer as the SDK's deserializer reads. */
export interface WireAnswer {
  statusCode: number
  headers: Record<string, string>
  body: Readable
}

/** As much of a request as DynamoDB reads. */
export interface WireRequest {
  operation: string
  body: Record<string, unknown>
}

/** Reads a request that is ready to be sent. */
export function readWireRequest(request: unknown): WireRequest {
  const { headers, body } = request as { headers: Record<string, string>; body: string | Uint8Array }
  const operation = String(headers["x-amz-target"]).split(".")[1] ?? ""
  const text = typeof body === "string" ? body : new TextDecoder().decode(body)
  return { operation, body: JSON.parse(text) as Record<string, unknown> }
}

/** An answer of success. Binary values become base64, as DynamoDB sends them. */
export function success(content: unknown): WireAnswer {
  const text = JSON.stringify(content, (_key, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value,
  )
  return wireAnswer(200, text)
}

/** The two ways in which DynamoDB says that it is asked too much. */
export const THROTTLES = ["ThrottlingException", "ProvisionedThroughputExceededException"] as const

/** A refusal because of throttling; the SDK tries the request again. */
export function throttled(name: (typeof THROTTLES)[number]): WireAnswer {
  return refusal(name, "Injected: the throughput is exceeded.")
}

/** A refusal because another transaction is under way on the item; undefined for operations that can't conflict. */
export function conflicting({ operation, body }: WireRequest): WireAnswer | undefined {
  const message = "Injected: a transaction is ongoing for the item."
  switch (operation) {
    case "PutItem":
    case "UpdateItem":
    case "DeleteItem":
      return refusal("TransactionConflictException", message)
    case "TransactWriteItems": {
      const items = Array.isArray(body.TransactItems) ? body.TransactItems : []
      const reasons = items.map((_, i) =>
        i === 0 ? { Code: "TransactionConflict", Message: message } : { Code: "None" },
      )
      const codes = reasons.map(({ Code }) => Code).join(", ")
      return refusal("TransactionCanceledException", `Transaction cancelled [${codes}]`, {
        CancellationReasons: reasons,
      })
    }
    default:
      return undefined
  }
}

/** Ends the connection of an answer that nobody is going to read: it would keep its place in the client's pool for ever. */
export function discard(answer: unknown): void {
  ;(answer as { response: { body?: { destroy?(): void } } }).response.body?.destroy?.()
}

function refusal(name: string, message: string, rest: object = {}): WireAnswer {
  const content = { __type: `com.amazonaws.dynamodb.v20120810#${name}`, message, Message: message, ...rest }
  return wireAnswer(400, JSON.stringify(content))
}

function wireAnswer(statusCode: number, text: string): WireAnswer {
  return {
    statusCode,
    headers: { "content-type": "application/x-amz-json-1.0", "x-amzn-requestid": "injected" },
    body: Readable.from([Buffer.from(text)]),
  }
}
