/** What DynamoDB's errors say: their names, and those that tell of a table that can't be an outbox. */
import { types } from "node:util"
import { ConfigurationError } from "outbox-event-bus"

/**
 * Whether DynamoDB calls an error so. Where the SDK has lost the class of an error (two copies of its core), only
 * `__type` still tells: `com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException`.
 */
export function isNamed(error: unknown, name: string): boolean {
  if (!(error instanceof Error) && !types.isNativeError(error)) return false
  const { __type } = error as { __type?: unknown }
  return error.name === name || (typeof __type === "string" && __type.replace(/^.*#/, "") === name)
}

/** What DynamoDB, and the engines that imitate it, say of a key that is not the table's. An index's key is another matter. */
const WRONG_KEY =
  /key element does not match the schema|number of conditions on the keys is invalid|required keys was not given|Missing the key |Type mismatch for key(?! .*IndexName)/i

/**
 * @param error - What a request was rejected with.
 * @param position - Where the table's item is in a transaction; default: anywhere.
 * @returns the error that says what the table's key must be, if that is the reason.
 */
export function wrongTable(
  error: unknown,
  tableName: string | undefined,
  position?: number,
): ConfigurationError | undefined {
  if (!messagesOf(error, position).some((message) => WRONG_KEY.test(message))) return undefined
  return new ConfigurationError(
    `Table "${tableName}" can't be an outbox: its primary key must be the string attribute "id" alone, without a sort key. ` +
      "An outbox needs a table of its own; transactions can span tables.",
    { cause: error },
  )
}

function messagesOf(error: unknown, position: number | undefined): string[] {
  if (isNamed(error, "ValidationException")) return [(error as Error).message]
  if (!isNamed(error, "TransactionCanceledException")) return []
  const { CancellationReasons: reasons = [] } = error as {
    CancellationReasons?: { Code?: string; Message?: string }[]
  }
  const ofItem = position === undefined ? reasons : reasons.slice(position, position + 1)
  return ofItem.flatMap(({ Code, Message }) => (Code === "ValidationError" && Message ? [Message] : []))
}
