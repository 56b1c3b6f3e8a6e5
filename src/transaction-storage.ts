/**
 * The AsyncLocalStorage helper: carries the collector of the current transaction to wherever `emit` is called.
 */
import { AsyncLocalStorage } from "node:async_hooks"
import type { DynamoDBAwsSdkTransactionCollector, TransactWriteItem } from "./collector.ts"

interface TransactionState {
  storage: AsyncLocalStorage<DynamoDBAwsSdkTransactionCollector>
  /** What to call when the transaction of a collector has ended. */
  callbacks: WeakMap<DynamoDBAwsSdkTransactionCollector, Set<() => void>>
}

/**
 * A process may load this package twice, by import and by require. With a storage each, an event would silently be stored
 * outside of its transaction.
 */
const STATE = Symbol.for("@outbox-event-bus/dynamodb-aws-sdk-outbox/transactions")
const shared = globalThis as { [STATE]?: TransactionState }
shared[STATE] ??= { storage: new AsyncLocalStorage(), callbacks: new WeakMap() }
const { storage, callbacks } = shared[STATE]

/** Holds the collector of the transaction that the current asynchronous call chain belongs to. */
export const dynamodbAwsSdkTransactionStorage: AsyncLocalStorage<DynamoDBAwsSdkTransactionCollector> = storage

/**
 * Runs `fn` with a fresh collector, which {@link getDynamoDBAwsSdkCollector} finds from anywhere inside.
 *
 * The helper sends nothing: `fn` pushes its business writes, emits its events and sends `collector.items` in one
 * `TransactWriteCommand`. When `fn` has resolved, relays of this process look for the events at once.
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
  const items: TransactWriteItem[] = []
  const collector: DynamoDBAwsSdkTransactionCollector = { items, push: (item) => void items.push(item) }
  callbacks.set(collector, new Set())
  const result = await dynamodbAwsSdkTransactionStorage.run(collector, () => fn(collector))
  for (const callback of callbacks.get(collector) ?? []) callback()
  return result
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
  callbacks.get(collector)?.add(callback)
}
