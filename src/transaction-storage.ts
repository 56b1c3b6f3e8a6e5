/**
 * The AsyncLocalStorage helper: carries the collector of the current transaction to wherever `emit` is called.
 */
import { AsyncLocalStorage } from "node:async_hooks"
import { OperationalError } from "outbox-event-bus"
import { unref } from "./process/background-timer.ts"
import { warnOnce } from "./process/warnings.ts"
import type { DynamoDBAwsSdkTransactionCollector, TransactWriteItem } from "./transaction/collector.ts"

/** What the helper knows of a transaction, behind its collector. */
interface Transaction {
  readonly items: TransactWriteItem[]
  state: "open" | "ended" | "failed"
  /** Somebody has read `collector.items`, so somebody sends them, or has sent them. */
  isRead: boolean
  /** What to call when `fn` has resolved. */
  readonly onEnd: Set<() => void>
  /** Warns of items that nobody has read. */
  unread?: ReturnType<typeof setTimeout>
}

interface SharedState {
  storage: AsyncLocalStorage<DynamoDBAwsSdkTransactionCollector>
  transactions: WeakMap<DynamoDBAwsSdkTransactionCollector, Transaction>
}

/**
 * A process may load this package twice, by import and by require. With a storage each, an event would silently be stored
 * outside of its transaction.
 */
const STATE = Symbol.for("@outbox-event-bus/dynamodb-aws-sdk-outbox/transactions")
const shared = globalThis as { [STATE]?: SharedState }
shared[STATE] ??= { storage: new AsyncLocalStorage(), transactions: new WeakMap() }
const { storage, transactions } = shared[STATE]

/** Holds the collector of the transaction that the current asynchronous call chain belongs to. */
export const dynamodbAwsSdkTransactionStorage: AsyncLocalStorage<DynamoDBAwsSdkTransactionCollector> = storage

/**
 * Runs `fn` with a fresh collector, which {@link getDynamoDBAwsSdkCollector} finds from anywhere inside.
 *
 * The helper sends nothing: `fn` pushes its business writes, emits its events and sends `collector.items` in one
 * `TransactWriteCommand`. When `fn` has resolved, relays of this process look for the events at once.
 *
 * What is pushed or emitted too late to be sent is refused: once `fn` has resolved and `collector.items` has been read, and once
 * `fn` has failed. `fn` may return the collector for the caller to send. If nobody has read `items` a second after `fn` has resolved,
 * a process warning with the code `OUTBOX_TRANSACTION_NOT_SENT` says that nothing was stored.
 *
 * @param fn - Receives the collector; its result is returned, its error is thrown on.
 * @returns what `fn` resolves with.
 * @example
 * ```ts
 * await withDynamoDBAwsSdkTransaction(async (collector) => {
 *   collector.push({ Put: { TableName: "orders", Item: order } })
 *   await bus.emit({ type: "order.placed", payload: order })
 *   await client.send(new TransactWriteCommand({ TransactItems: collector.items }))
 * })
 * ```
 */
export async function withDynamoDBAwsSdkTransaction<T>(
  fn: (collector: DynamoDBAwsSdkTransactionCollector) => Promise<T>,
): Promise<T> {
  const transaction: Transaction = { items: [], state: "open", isRead: false, onEnd: new Set() }
  const collector = collectorOf(transaction)
  try {
    const result = await dynamodbAwsSdkTransactionStorage.run(collector, () => fn(collector))
    transaction.state = "ended"
    warnIfUnread(transaction)
    for (const callback of transaction.onEnd) callback()
    return result
  } catch (error) {
    transaction.state = "failed"
    throw error
  }
}

function collectorOf(transaction: Transaction): DynamoDBAwsSdkTransactionCollector {
  const collector: DynamoDBAwsSdkTransactionCollector = {
    push: (item) => {
      assertSendable(transaction)
      transaction.items.push(item)
      if (transaction.state === "ended") warnIfUnread(transaction)
    },
    get items() {
      transaction.isRead = true
      clearTimeout(transaction.unread)
      return transaction.items
    },
  }
  transactions.set(collector, transaction)
  return collector
}

/** @throws {OperationalError} when what is pushed now would be stored nowhere. */
function assertSendable({ state, isRead }: Transaction): void {
  if (state === "open" || (state === "ended" && !isRead)) return
  const why =
    state === "failed"
      ? "its function has failed, so nothing of it is sent"
      : "its function has ended and its items have been read"
  throw new OperationalError(
    `Too late for this transaction: ${why}. Await every emit and push before the transaction is sent, ` +
      "and emit what does not belong to it outside of withDynamoDBAwsSdkTransaction.",
  )
}

/** The caller may read the items, and send them, after `fn` has resolved; but within moments. */
const UNREAD_MS = 1000

function warnIfUnread(transaction: Transaction): void {
  clearTimeout(transaction.unread)
  if (transaction.isRead || transaction.items.length === 0) return
  transaction.unread = unref(
    setTimeout(() => {
      warnOnce(
        "OUTBOX_TRANSACTION_NOT_SENT",
        "A transaction of withDynamoDBAwsSdkTransaction was never sent: its function has ended, and nobody has read collector.items. " +
          "Its writes and events are not stored. Send collector.items in a TransactWriteCommand.",
      )
    }, UNREAD_MS),
  )
}

/**
 * The value for the option `getCollector` when transactions are opened with {@link withDynamoDBAwsSdkTransaction}.
 *
 * @returns a function that finds the current transaction's collector, or `undefined` outside of one.
 */
export function getDynamoDBAwsSdkCollector(): () => DynamoDBAwsSdkTransactionCollector | undefined {
  return () => dynamodbAwsSdkTransactionStorage.getStore()
}

/**
 * Has `callback` called once when the transaction of `collector` has been committed, if that can be known: only
 * collectors made by {@link withDynamoDBAwsSdkTransaction} tell.
 */
export function onTransactionEnd(collector: DynamoDBAwsSdkTransactionCollector, callback: () => void): void {
  transactions.get(collector)?.onEnd.add(callback)
}

/** For events that are stored by themselves: where they were emitted in a transaction, that was hardly meant. */
export function warnIfInTransaction(): void {
  if (dynamodbAwsSdkTransactionStorage.getStore() === undefined) return
  warnOnce(
    "OUTBOX_EMIT_OUTSIDE_TRANSACTION",
    "An event was emitted inside withDynamoDBAwsSdkTransaction, but stored in a transaction of its own: it stays even if yours is " +
      "refused. Give the outbox the option getCollector: getDynamoDBAwsSdkCollector().",
  )
}

/** The items of a collector, as far as it shows them. Does not count as reading them. */
export function itemsOf(
  collector: DynamoDBAwsSdkTransactionCollector | undefined,
): readonly TransactWriteItem[] {
  if (collector === undefined) return []
  if (Array.isArray(collector)) return collector as TransactWriteItem[]
  return transactions.get(collector)?.items ?? collector.items ?? []
}
