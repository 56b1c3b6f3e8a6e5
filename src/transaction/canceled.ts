/** Reads DynamoDB's `TransactionCanceledException`: which writes were refused, and why, in words. */
import { quoted, shown } from "../process/shown.ts"
import type { TransactWriteItem } from "./collector.ts"
import { isStoredEvent, type RefusedWrite, TransactionCanceledError } from "./transaction-errors.ts"

interface CancellationReason {
  Code?: string
  Message?: string
}

/** The codes of the writes that were not accepted. */
export function codesOf(error: unknown): string[] {
  return reasonsOf(error).flatMap(({ Code }) => (Code === undefined || Code === "None" ? [] : [Code]))
}

/** A transaction, as far as its error has to know it. */
export interface SentTransaction {
  readonly items: readonly TransactWriteItem[]
  /** The ids of those items that are events. */
  readonly eventIds: ReadonlyMap<TransactWriteItem, string>
  /** Somebody has read the items, and may have sent them. */
  readonly isRead: boolean
}

export function canceledError(
  error: unknown,
  { items, eventIds, isRead }: SentTransaction,
): TransactionCanceledError {
  const reasons = reasonsOf(error)
  const refused = reasons.flatMap(({ Code }, position) => {
    const item = items[position]
    if (item === undefined || Code === undefined || Code === "None") return []
    return [refusedWrite(item, position, Code, eventIds.get(item))]
  })
  const texts = refused.map((write) => sentenceOf(write, reasons[write.position]?.Message))
  const which = texts.length > 0 ? texts.join("; ") : "DynamoDB does not say which write was refused"
  const isSentTwice = isRead && refused.some(isStoredEvent)
  const what = isSentTwice
    ? "The transaction was canceled. Its items were read before: if its function has sent them itself, they are stored; leave that to the helper"
    : "The transaction was canceled, nothing of it is stored"
  return new TransactionCanceledError(`${what}: ${which}.`, refused, error)
}

function reasonsOf(error: unknown): CancellationReason[] {
  const { CancellationReasons: reasons } = Object(error) as {
    CancellationReasons?: (CancellationReason | null)[]
  }
  return (reasons ?? []).map((reason) => reason ?? {})
}

function refusedWrite(
  item: TransactWriteItem,
  position: number,
  code: string,
  eventId: string | undefined,
): RefusedWrite {
  const { Put, Update, Delete, ConditionCheck } = item
  const action = Put ? "Put" : Update ? "Update" : Delete ? "Delete" : "ConditionCheck"
  const write = Put ?? Update ?? Delete ?? ConditionCheck
  const key =
    eventId === undefined
      ? Put
        ? absentAttributes(Put)
        : write && "Key" in write
          ? write.Key
          : undefined
      : { id: eventId }
  return {
    position,
    action,
    tableName: write?.TableName ?? "",
    ...(eventId !== undefined && { eventId }),
    ...(key && { key }),
    code,
  }
}

/** A key is what `attribute_not_exists` is asked of: nothing else of the item may get into a log. */
function absentAttributes({
  Item: item = {},
  ConditionExpression: condition = "",
  ExpressionAttributeNames: names = {},
}: NonNullable<TransactWriteItem["Put"]>): Record<string, unknown> | undefined {
  // With an OR, what is asked of need not be a key.
  if (/\bOR\b/i.test(condition)) return undefined
  const attributes = [...condition.matchAll(/attribute_not_exists\s*\(\s*([#\w.-]+)\s*\)/g)]
    .map(([, name = ""]) => names[name] ?? name)
    .filter((name) => isKeyValue(item[name]))
  return attributes.length > 0 ? Object.fromEntries(attributes.map((name) => [name, item[name]])) : undefined
}

function isKeyValue(value: unknown): boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "bigint"
}

function sentenceOf(
  { position, action, tableName, eventId, key, code }: RefusedWrite,
  message: string | undefined,
): string {
  const what =
    eventId === undefined
      ? `write ${position} (${action} in ${quoted(tableName)}${key ? `, ${keyText(key)}` : ""})`
      : `write ${position} (event ${quoted(eventId)})`
  return `${what}: ${reasonText(code, eventId, message)}`
}

function keyText(key: Readonly<Record<string, unknown>>): string {
  return Object.entries(key)
    .map(([name, value]) => `${name} = ${shown(value)}`)
    .join(", ")
}

function reasonText(code: string, eventId: string | undefined, message: string | undefined): string {
  switch (code) {
    case "ConditionalCheckFailed":
      return eventId === undefined ? "its condition failed" : "an event with this id is in the table already"
    case "TransactionConflict":
      return "another request was writing the same item (TransactionConflict)"
    case "ValidationError":
      // What is wrong with the request, without its values.
      return message ? `${code}: ${message}` : code
    default:
      return code
  }
}
