/**
 * The outbox's table in memory, behind the `send` of a document client. It evaluates the very requests that the outbox sends, so
 * claims, conditions and retries are those of production.
 */
import {
  ConditionalCheckFailedException,
  DynamoDBServiceException,
  TransactionCanceledException,
} from "@aws-sdk/client-dynamodb"
import type {
  DeleteCommandInput,
  GetCommandInput,
  QueryCommandInput,
  TransactWriteCommandInput,
  UpdateCommandInput,
} from "@aws-sdk/lib-dynamodb"
import { EventStatus } from "outbox-event-bus"
import type { Item } from "../item/event-item.ts"
import { numberOf } from "../item/stored-value.ts"
import { turnOfTheEventLoop } from "../process/event-loop.ts"
import type { TransactWriteItem } from "../transaction/collector.ts"
import { holds, type Placeholders, projected, updated } from "./expression.ts"
import { readBack } from "./read-back.ts"

/** Told of every change of an item; `before` is undefined where the item is new. */
export type OnChange = (after: Item, before: Item | undefined) => void

interface Stored {
  item: Item
  /** Where it was put into the table: breaks ties of the sort key, so that order is the same in each run. */
  readonly sequence: number
  /** The sort key under which it was last waiting. */
  waitedAs?: unknown
  /** The sort key under which it is due, whatever the clock says: that of a retry that comes at once. */
  dueAs?: unknown
}

type Input = TransactWriteCommandInput &
  UpdateCommandInput &
  DeleteCommandInput &
  QueryCommandInput &
  GetCommandInput

const MAX_TRANSACTION_ITEMS = 100
const REQUESTS_PER_TURN = 500

export class MemoryTable {
  private readonly stored = new Map<string, Stored>()
  private requests = 0

  /**
   * @param tableName - Requests for other tables are none of its business.
   * @param retriesAtOnce - Retries are due at once, also while the clock stands still.
   */
  constructor(
    private readonly tableName: string,
    private readonly retriesAtOnce: boolean,
    private readonly onChange: OnChange,
  ) {}

  /** What the outbox calls, with commands of lib-dynamodb. */
  async send({ input }: { input: unknown }): Promise<unknown> {
    // Requests take no time. Now and then, others must have their turn: a handler that fails for ever would freeze the process.
    if (++this.requests % REQUESTS_PER_TURN === 0) await turnOfTheEventLoop()
    const request = input as Input
    if (request.TransactItems) return this.transact(request.TransactItems)
    if (request.UpdateExpression) return this.update(request)
    if (request.KeyConditionExpression) return this.query(request)
    // A read has no condition.
    if (request.ConditionExpression) return this.delete(request)
    return { Item: this.read(request.Key?.id) }
  }

  /** Writes all items or none. Those of other tables are taken as written, their conditions as fulfilled. */
  transact(items: readonly TransactWriteItem[]): object {
    if (items.length === 0 || items.length > MAX_TRANSACTION_ITEMS) {
      throw invalid(`A transaction has 1 to ${MAX_TRANSACTION_ITEMS} items, not ${items.length}`)
    }
    const puts = items.map(({ Put }) => (Put?.TableName === this.tableName ? Put : undefined))
    const ids = puts.flatMap((put) => (put ? [put.Item?.id] : []))
    if (new Set(ids).size < ids.length) {
      throw invalid("Transaction request cannot include multiple operations on one item")
    }
    const reasons = puts.map((put) => {
      const isAllowed =
        !put || holds(put.ConditionExpression, this.stored.get(put.Item?.id)?.item, placeholdersOf(put))
      return isAllowed
        ? { Code: "None" }
        : { Code: "ConditionalCheckFailed", Message: "The conditional request failed" }
    })
    if (reasons.some(({ Code }) => Code !== "None")) {
      const codes = reasons.map(({ Code }) => Code).join(", ")
      throw new TransactionCanceledException({
        message: `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes}]`,
        CancellationReasons: reasons,
        $metadata: {},
      })
    }
    for (const put of puts) if (put) this.write(put.Item as Item)
    return {}
  }

  /** Whether an event is under way, or due: something that a started outbox is about to do. */
  hasWork(now: number): boolean {
    return [...this.stored.values()].some(({ item, dueAs }) => {
      if (item.status === EventStatus.ACTIVE) return true
      if (item.status !== EventStatus.CREATED) return false
      return item.gsiSortKey === dueAs || (numberOf(item.gsiSortKey) ?? Number.POSITIVE_INFINITY) <= now
    })
  }

  /** Of what is deleted, only that it is done matters. */
  private delete(input: DeleteCommandInput): object {
    const id = input.Key?.id
    const before = this.stored.get(id)?.item
    if (!before || !holds(input.ConditionExpression, before, placeholdersOf(input))) {
      throw new ConditionalCheckFailedException({ message: "The conditional request failed", $metadata: {} })
    }
    this.stored.delete(id)
    this.onChange({ ...before, status: EventStatus.COMPLETED }, before)
    return {}
  }

  private update(input: UpdateCommandInput): object {
    const id = input.Key?.id
    const placeholders = placeholdersOf(input)
    const stored = this.stored.get(id)
    if (!holds(input.ConditionExpression, stored?.item, this.atOnce(stored, placeholders))) {
      throw new ConditionalCheckFailedException({ message: "The conditional request failed", $metadata: {} })
    }
    this.write(updated(input.UpdateExpression as string, stored?.item ?? { id }, placeholders))
    return input.ReturnValues === "ALL_NEW" ? { Attributes: this.read(id) } : {}
  }

  private query(input: QueryCommandInput): object {
    const placeholders = placeholdersOf(input)
    const rows = [...this.stored.values()]
      .filter(({ item }) => typeof item.gsiSortKey === "number")
      .filter((stored) => holds(input.KeyConditionExpression, stored.item, this.atOnce(stored, placeholders)))
      .sort(inOrder)
    if (input.ScanIndexForward === false) rows.reverse()
    const after = rows.findIndex(({ item }) => item.id === input.ExclusiveStartKey?.id)
    const page = rows.slice(after + 1, after + 1 + (input.Limit ?? rows.length))
    const last = page.at(-1)
    const isLastPage = last === undefined || last === rows.at(-1)
    return {
      Items: page.map(({ item }) => readBack(projected(input.ProjectionExpression, item, placeholders))),
      ...(!isLastPage && { LastEvaluatedKey: projected("id, status, gsiSortKey", last.item, {}) }),
    }
  }

  private read(id: string): Item | undefined {
    const item = this.stored.get(id)?.item
    return item && (readBack(item) as Item)
  }

  private write(written: Item): void {
    const item = readBack(written) as Item
    const id = item.id as string
    const stored: Stored = this.stored.get(id) ?? { item: {}, sequence: this.stored.size }
    const before = this.stored.has(id) ? stored.item : undefined
    stored.item = item
    if (item.status === EventStatus.CREATED) waits(stored, before, this.retriesAtOnce)
    this.stored.set(id, stored)
    this.onChange(item, before)
  }

  /** For an event whose retry comes at once, it is later than it is. */
  private atOnce(stored: Stored | undefined, placeholders: Placeholders): Placeholders {
    const { values } = placeholders
    if (!stored || stored.dueAs === undefined || stored.item.gsiSortKey !== stored.dueAs) return placeholders
    return { ...placeholders, values: { ...values, ":now": Number.MAX_SAFE_INTEGER } }
  }
}

/** The event waits (again). A relay takes a row that it has just seen for old news, so a retry has another sort key. */
function waits(stored: Stored, before: Item | undefined, retriesAtOnce: boolean): void {
  const { item } = stored
  const isRedriven = before?.status === EventStatus.FAILED
  const isRetry = before?.status === EventStatus.ACTIVE && item.retryCount !== before.retryCount
  if (isRedriven && item.gsiSortKey === stored.waitedAs)
    item.gsiSortKey = (numberOf(item.gsiSortKey) ?? 0) + 1
  if (isRedriven || (isRetry && retriesAtOnce)) stored.dueAs = item.gsiSortKey
  stored.waitedAs = item.gsiSortKey
}

function inOrder(a: Stored, b: Stored): number {
  return (a.item.gsiSortKey as number) - (b.item.gsiSortKey as number) || a.sequence - b.sequence
}

interface Expressive {
  ExpressionAttributeNames?: Record<string, string> | undefined
  ExpressionAttributeValues?: Record<string, unknown> | undefined
}

function placeholdersOf({
  ExpressionAttributeNames: names,
  ExpressionAttributeValues: values,
}: Expressive): Placeholders {
  return { names, values }
}

function invalid(message: string): DynamoDBServiceException {
  return new DynamoDBServiceException({
    name: "ValidationException",
    $fault: "client",
    $metadata: {},
    message,
  })
}
