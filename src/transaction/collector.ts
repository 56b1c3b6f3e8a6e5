/**
 * The transaction collector: what a caller hands in to have events written in its own transaction, and the rule
 * that a DynamoDB transaction holds at most 100 items.
 */
import type { TransactWriteCommandInput } from "@aws-sdk/lib-dynamodb"
import { BatchSizeLimitError, ValidationError } from "outbox-event-bus"
import { DuplicateEventIdError } from "../item/publish-errors.ts"
import { described } from "../process/shown.ts"
import { itemsOf } from "../transaction-storage.ts"

/** One entry of a `TransactWriteCommand` of `@aws-sdk/lib-dynamodb`. */
export type TransactWriteItem = NonNullable<TransactWriteCommandInput["TransactItems"]>[number]

/**
 * Gathers the items of one DynamoDB transaction.
 *
 * `publish` pushes one `Put` per event and sends nothing; whoever made the collector sends everything with one
 * `TransactWriteCommand`. A bare `TransactWriteItem[]` is a collector too.
 */
export type DynamoDBAwsSdkTransactionCollector = {
  /** Adds an item to the transaction. */
  push: (item: TransactWriteItem) => void
  /** What has been pushed so far. When present, it counts towards DynamoDB's limit of 100 items. */
  items?: TransactWriteItem[]
}

/** The collector that {@link withDynamoDBAwsSdkTransaction} makes. */
export interface DynamoDBAwsSdkTransaction extends DynamoDBAwsSdkTransactionCollector {
  /** What has been pushed so far. */
  readonly items: TransactWriteItem[]
  /** How many more items DynamoDB allows in this transaction, out of 100. */
  readonly placesLeft: number
}

/** DynamoDB's limit for one `TransactWriteItems` request. */
export const MAX_TRANSACTION_ITEMS = 100

/**
 * @throws {ValidationError} when `collector` has no `push`.
 * @throws {BatchSizeLimitError} when the transaction would exceed 100 items.
 */
export function assertRoomFor(
  additional: number,
  collector: DynamoDBAwsSdkTransactionCollector | undefined,
): void {
  if (collector !== undefined && typeof collector.push !== "function") {
    if (typeof collector === "function") {
      throw new ValidationError(
        "The option getCollector returned a function instead of a collector. Was it given uncalled? " +
          "Write getCollector: getDynamoDBAwsSdkCollector().",
      )
    }
    throw new ValidationError(
      `The transaction passed to publish has no push method; it is ${described(collector)}. ` +
        "Allowed: an array of TransactWriteItems, or an object with push(item).",
    )
  }
  const held = itemsOf(collector).length
  const total = additional + held
  if (total <= MAX_TRANSACTION_ITEMS) return
  const error = new BatchSizeLimitError(MAX_TRANSACTION_ITEMS, total)
  throw additional > MAX_TRANSACTION_ITEMS ? error : saying(fullCollector(additional, held), error)
}

/** For the item that no longer fits. */
export function fullTransaction(count: number): BatchSizeLimitError {
  const limit = MAX_TRANSACTION_ITEMS
  return saying(
    `Cannot push item ${count}: the transaction already holds ${limit} items, as many as DynamoDB allows.`,
    new BatchSizeLimitError(limit, count),
  )
}

function fullCollector(additional: number, held: number): string {
  return (
    `Cannot publish ${additional} ${additional === 1 ? "event" : "events"}: the transaction's collector already holds ` +
    `${held} of the ${MAX_TRANSACTION_ITEMS} items that DynamoDB allows in a transaction.`
  )
}

/** The class has one text, which counts events; where it is the collector that is full, it would name a wrong number. */
function saying<T extends Error>(message: string, error: T): T {
  error.message = message
  // The stack begins with the message it was made with.
  Error.captureStackTrace?.(error, assertRoomFor)
  return error
}

/**
 * DynamoDB refuses a whole transaction that has two writes for one item.
 * @throws {DuplicateEventIdError} that names the ids which occur twice.
 */
export function assertDistinctIds(
  puts: readonly TransactWriteItem[],
  collector: DynamoDBAwsSdkTransactionCollector | undefined,
): void {
  const seen = new Set<string>()
  const twice = new Set<string>()
  for (const { Put } of [...itemsOf(collector), ...puts]) {
    const isEvent = Put !== undefined && Put.TableName === puts[0]?.Put?.TableName
    if (!isEvent) continue
    const id = Put.Item?.id as string
    if (seen.has(id)) twice.add(id)
    seen.add(id)
  }
  if (twice.size === 0) return
  throw new DuplicateEventIdError([...twice])
}
