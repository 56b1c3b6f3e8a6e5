/**
 * The transaction collector: what a caller hands in to have events written in its own transaction, and the rule
 * that a DynamoDB transaction holds at most 100 items.
 */
import { inspect } from "node:util"
import type { TransactWriteCommandInput } from "@aws-sdk/lib-dynamodb"
import { BatchSizeLimitError, ValidationError } from "outbox-event-bus"

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

/** DynamoDB's limit for one `TransactWriteItems` request. */
const MAX_TRANSACTION_ITEMS = 100

/**
 * @throws {ValidationError} when `collector` has no `push`.
 * @throws {BatchSizeLimitError} when the transaction would exceed 100 items.
 */
export function assertRoomFor(
  additional: number,
  collector: DynamoDBAwsSdkTransactionCollector | undefined,
): void {
  if (collector !== undefined && typeof collector.push !== "function") {
    throw new ValidationError(
      `The transaction passed to publish has no push method; it is ${inspect(collector, { depth: 0 })}. ` +
        "Allowed: an array of TransactWriteItems, or an object with push(item).",
    )
  }
  const total = additional + itemsOf(collector).length
  if (total > MAX_TRANSACTION_ITEMS) throw new BatchSizeLimitError(MAX_TRANSACTION_ITEMS, total)
}

/**
 * DynamoDB refuses a whole transaction that has two writes for one item.
 * @throws {ValidationError} that names the ids which occur twice.
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
  const eventIds = [...twice]
  throw new ValidationError(
    `Event ids occur twice in one transaction: ${eventIds.join(", ")}. Nothing was published.`,
    {
      eventIds,
    },
  )
}

/** The items a collector already holds, as far as it shows them. */
function itemsOf(collector: DynamoDBAwsSdkTransactionCollector | undefined): readonly TransactWriteItem[] {
  if (Array.isArray(collector)) return collector as TransactWriteItem[]
  return collector?.items ?? []
}
