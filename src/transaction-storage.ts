/**
 * The AsyncLocalStorage helper: carries the collector of the current transaction to wherever `emit` is called, and sends
 * what was collected if it is given a client.
 */
import { AsyncLocalStorage } from "node:async_hooks"
import { OperationalError, ValidationError } from "outbox-event-bus"
import { turnOfTheEventLoop } from "./process/event-loop.ts"
import { described } from "./process/shown.ts"
import { warnOnce } from "./process/warnings.ts"
import {
  type DynamoDBAwsSdkTransaction,
  type DynamoDBAwsSdkTransactionCollector,
  fullTransaction,
  MAX_TRANSACTION_ITEMS,
  type TransactWriteItem,
} from "./transaction/collector.ts"
import { Commit, type CommitOptions } from "./transaction/commit.ts"
import { expectRead, wasRead } from "./transaction/unsent.ts"

/** What the helper knows of a transaction, behind its collector. */
interface Transaction {
  readonly items: TransactWriteItem[]
  /** The ids of those items that are events. */
  readonly eventIds: Map<TransactWriteItem, string>
  /** "ending": its function has resolved, and the helper is about to send it. "sent": by the helper. */
  state: "open" | "ending" | "ended" | "sent" | "failed"
  /** Somebody has read `collector.items`, so somebody sends them, or has sent them. */
  isRead: boolean
  /** How the helper sends it; undefined where the caller does. */
  readonly commit: Commit | undefined
  /** Why the helper must not send it, whatever `fn` makes of that. */
  rollback?: OperationalError
  /** Calls that have joined it and have not ended. */
  joined: number
  /** What to call when it has been committed; where the caller sends, when `fn` has resolved. */
  readonly onEnd: Set<() => void>
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
 * Runs `fn` with a fresh collector, which {@link getDynamoDBAwsSdkCollector} finds from anywhere inside, and commits what was
 * collected.
 *
 * **With `options.client`**, the helper sends everything in one `TransactWriteItems` request after `fn` has resolved; nothing if `fn`
 * has failed, or nothing was collected. Conflicts with other transactions, throttling and lost responses are retried. When it is
 * stored, relays of this process look for the events at once. A call inside another one that has a client joins that transaction: it
 * sends nothing by itself, and if it fails, the outer call rejects and sends nothing, even if the error is caught.
 *
 * **Without a client**, the helper sends nothing: `fn` sends `collector.items` in one `TransactWriteCommand`, or returns the collector
 * for the caller to send. When `fn` has resolved, relays of this process look for the events at once. If nobody has read `items` a second
 * after that, a process warning with the code `OUTBOX_TRANSACTION_NOT_SENT` says that nothing was stored.
 *
 * What is pushed or emitted too late to be sent is refused.
 *
 * @param fn - Receives the collector; its result is returned, its error is thrown on.
 * @param options - Has the helper commit. Default: `fn` sends the transaction.
 * @returns what `fn` resolves with.
 * @throws {TransactionCanceledError} when DynamoDB has refused the transaction: which writes, and why. Nothing is stored.
 * @throws {TransactionOutcomeUnknownError} when no response came within `retryForMs`: everything is stored, or nothing.
 * @throws {BatchSizeLimitError} (`push`) for more than 100 items.
 * @throws {OperationalError} for a call that can't join, or a transaction that a call which had joined has failed in.
 * @throws {ConfigurationError} for an option that is not allowed, before `fn` is called.
 * @example
 * ```ts
 * await withDynamoDBAwsSdkTransaction(
 *   async (transaction) => {
 *     transaction.push({ Put: { TableName: "orders", Item: order } })
 *     await bus.emit({ type: "order.placed", payload: order })
 *   },
 *   { client },
 * )
 * ```
 */
export async function withDynamoDBAwsSdkTransaction<T>(
  fn: (collector: DynamoDBAwsSdkTransaction) => Promise<T>,
  options?: CommitOptions,
): Promise<T> {
  const store = storage.getStore()
  const outer = store && transactions.get(store)
  if (outer?.commit) return join(outer, fn, options)
  const commit = options && new Commit(options)
  if (commit && store) {
    throw new OperationalError(
      "withDynamoDBAwsSdkTransaction was called with a client inside a transaction that its caller sends, so it can't commit by " +
        "itself. Give the outer call the client, too, or this one none.",
    )
  }
  return run(fn, commit)
}

async function run<T>(
  fn: (collector: DynamoDBAwsSdkTransaction) => Promise<T>,
  commit: Commit | undefined,
): Promise<T> {
  const transaction: Transaction = {
    items: [],
    eventIds: new Map(),
    state: "open",
    isRead: false,
    commit,
    joined: 0,
    onEnd: new Set(),
  }
  const collector = collectorOf(transaction)
  try {
    const result = await storage.run(collector, () => fn(collector))
    await end(transaction)
    for (const callback of transaction.onEnd) callback()
    return result
  } catch (error) {
    transaction.state = "failed"
    throw error
  }
}

async function end(transaction: Transaction): Promise<void> {
  const { commit, items, eventIds } = transaction
  if (!commit) {
    transaction.state = "ended"
    if (!transaction.isRead) expectRead(transaction)
    return
  }
  transaction.state = "ending"
  // What was not awaited comes now: better nothing is stored than the data without its event.
  await turnOfTheEventLoop()
  transaction.state = "sent"
  if (transaction.joined > 0) transaction.rollback ??= notAwaited()
  if (transaction.rollback) throw transaction.rollback
  if (items.length > 0) await commit.send(items, eventIds, transaction.isRead)
}

const NOT_SENT = "The transaction was not sent, nothing of it is stored"

function notAwaited(): OperationalError {
  return new OperationalError(
    `${NOT_SENT}: its function has resolved without awaiting an emit, a push or an inner call of withDynamoDBAwsSdkTransaction`,
  )
}

/** An inner call: it collects into the outer one's transaction, and its failure is that of the whole. */
async function join<T>(
  transaction: Transaction,
  fn: (collector: DynamoDBAwsSdkTransaction) => Promise<T>,
  options: CommitOptions | undefined,
): Promise<T> {
  transaction.joined++
  try {
    const commit = options && new Commit(options)
    assertSendable(transaction)
    if (commit?.hasOwnToken) {
      throw new OperationalError(
        "An inner call of withDynamoDBAwsSdkTransaction joins the outer transaction, so it can't have a clientRequestToken of its own. " +
          "Give it to the outer call.",
      )
    }
    const collector = collectorOf(transaction, commit ? "joined" : "joined without a client")
    return await storage.run(collector, () => fn(collector))
  } catch (error) {
    transaction.rollback ??= new OperationalError(
      `${NOT_SENT}: an inner call of withDynamoDBAwsSdkTransaction, which had joined it, has failed`,
      { cause: error },
    )
    throw error
  } finally {
    transaction.joined--
  }
}

function collectorOf(
  transaction: Transaction,
  call: "outer" | "joined" | "joined without a client" = "outer",
): DynamoDBAwsSdkTransaction {
  const collector: DynamoDBAwsSdkTransaction = {
    push: (item) => {
      assertSendable(transaction)
      if (transaction.commit) assertPushable(item, transaction)
      transaction.items.push(item)
      if (transaction.state === "ended") expectRead(transaction)
    },
    get items() {
      // Code that reads them is about to send them, which would store the outer transaction before it is complete.
      if (call === "joined without a client") throw new OperationalError(SENT_BY_OUTER)
      transaction.isRead = true
      wasRead(transaction)
      if (!transaction.commit) return transaction.items
      // What is added past `push` would not be checked.
      return Object.freeze([...transaction.items]) as TransactWriteItem[]
    },
    get placesLeft() {
      return Math.max(0, MAX_TRANSACTION_ITEMS - transaction.items.length)
    },
  }
  transactions.set(collector, transaction)
  return collector
}

const SENT_BY_OUTER =
  "This call of withDynamoDBAwsSdkTransaction has joined an outer one, which has a client and sends everything: it must not send " +
  "collector.items. Give this call a client, too, and leave the sending to the helper."

/** Where the caller sends, all of this is DynamoDB's to refuse. */
function assertPushable(item: TransactWriteItem, { items }: Transaction): void {
  const count = items.length + 1
  if (count > MAX_TRANSACTION_ITEMS) throw fullTransaction(count)
  if (typeof item === "object" && item !== null) return
  throw new ValidationError(
    `Cannot push item ${count}: it is ${described(item)}. Allowed: a TransactWriteItem, such as { Put: { TableName, Item } }.`,
  )
}

/** @throws {OperationalError} when what is pushed now would be stored nowhere. */
function assertSendable(transaction: Transaction): void {
  const { state, isRead } = transaction
  if (state === "open" || (state === "ended" && !isRead)) return
  if (state === "ending") transaction.rollback ??= notAwaited()
  throw new OperationalError(
    `Too late for this transaction: ${WHY_TOO_LATE[state]}. Await every emit and push before the transaction is sent, ` +
      "and emit what does not belong to it outside of withDynamoDBAwsSdkTransaction.",
  )
}

const WHY_TOO_LATE = {
  ending: "its function has ended without awaiting this, so nothing of it is sent",
  failed: "its function has failed, so nothing of it is sent",
  ended: "its function has ended and its items have been read",
  sent: "its function has ended and the transaction has been sent",
}

/**
 * The value for the option `getCollector` when transactions are opened with {@link withDynamoDBAwsSdkTransaction}.
 *
 * @returns a function that finds the current transaction's collector, or `undefined` outside of one.
 */
export function getDynamoDBAwsSdkCollector(): () => DynamoDBAwsSdkTransactionCollector | undefined {
  return () => dynamodbAwsSdkTransactionStorage.getStore()
}

/** Says which of the items pushed to a collector are events, for the errors that name them. */
export function markAsEvent(
  collector: DynamoDBAwsSdkTransactionCollector,
  item: TransactWriteItem,
  eventId: string,
): void {
  transactions.get(collector)?.eventIds.set(item, eventId)
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
