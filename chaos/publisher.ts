/**
 * Publishes a known set of events: alone, in batches, and in transactions with business data, some of which are refused.
 * A publish whose answer is lost is repeated until it is known what became of it.
 */
import { setTimeout as delay } from "node:timers/promises"
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import { type BusEvent, ValidationError } from "outbox-event-bus"
import type { Chance } from "../packages/dynamodb-dev/src/index.ts"
import {
  DynamoDBAwsSdkOutbox,
  type DynamoDBAwsSdkTransaction,
  type DynamoDBAwsSdkTransactionCollector,
  TransactionCanceledError,
  type TransactWriteItem,
  withDynamoDBAwsSdkTransaction,
} from "../src/index.ts"
import type { ChaosPayload } from "./worker-settings.ts"

export interface PublisherOptions {
  client: DynamoDBClient
  tableName: string
  ordersTableName: string
  chance: Chance
  /** Events per second, about. */
  rate: number
  /** The longest that a handler is asked to take. */
  longestHandlerMs: number
  /** How many of the events kill their workers; one of them is among the first. */
  poison: number
}

const AGAIN_AFTER_MS = 100
/** Short, so that outcomes stay unknown now and then. */
const COMMITTED_WITHIN_MS = 300
const IN_TRANSACTION = 0.3
const REFUSED = 0.1
const USUAL_HANDLER_MS = 60
const FLAKY = 0.05
const SLOW = 0.02

export class Publisher {
  /** Events that are in the table, by id. */
  readonly published = new Map<string, ChaosPayload>()
  /** Orders that are in their table: each has an event of the same id. */
  readonly orders = new Set<string>()
  /** Events of transactions that were refused: they must not exist. */
  readonly refused = new Set<string>()
  private readonly outbox: DynamoDBAwsSdkOutbox
  private readonly documents: DynamoDBDocumentClient
  private poisonLeft: number
  private count = 0
  private isStopped = false
  private running: Promise<void> | undefined
  private held: Promise<void> | undefined
  private readonly resting = new Set<() => void>()

  constructor(private readonly options: PublisherOptions) {
    const { client, tableName } = options
    this.outbox = new DynamoDBAwsSdkOutbox({ client, tableName })
    this.documents = DynamoDBDocumentClient.from(client)
    this.poisonLeft = options.poison
  }

  start(): void {
    this.running = this.run()
  }

  /** Resolves when everything is published that was begun. */
  async stop(): Promise<void> {
    this.isStopped = true
    await this.running
  }

  /** Publishes nothing while `work` is done. */
  async pausedFor(work: () => Promise<void>): Promise<void> {
    const rests = new Promise<void>((resolve) => this.resting.add(resolve))
    this.held = rests.then(work)
    await this.held
  }

  private async run(): Promise<void> {
    const { chance, rate } = this.options
    while (!this.isStopped || this.resting.size > 0) {
      for (const resolve of this.resting) {
        this.resting.delete(resolve)
        resolve()
        await this.held?.catch(() => {})
      }
      const isTransaction = chance.happens(IN_TRANSACTION)
      const size = chance.pick(isTransaction ? [1, 1, 2, 5] : [1, 1, 1, 2, 5, 20])
      const events = Array.from({ length: size }, () => this.nextEvent())
      if (isTransaction) await this.publishWithOrders(events)
      else await this.publish(events)
      await delay((1000 * size) / rate)
    }
  }

  private nextEvent(): BusEvent {
    const { chance, longestHandlerMs } = this.options
    const n = this.count++
    const isPoison = this.poisonLeft > 0 && n === 10
    if (isPoison) this.poisonLeft--
    const isSlow = chance.happens(SLOW)
    const payload: ChaosPayload = {
      takesMs: isSlow
        ? chance.between(longestHandlerMs / 2, longestHandlerMs)
        : chance.between(0, USUAL_HANDLER_MS),
      failures: chance.happens(FLAKY) ? chance.between(1, 2) : 0,
      isPoison,
    }
    return { id: `e${n}`, type: "chaos", payload, occurredAt: new Date() }
  }

  private async publish(events: BusEvent[]): Promise<void> {
    await this.untilKnown(() => this.outbox.publish(events))
    for (const { id, payload } of events) this.published.set(id, payload as ChaosPayload)
  }

  /** Each event with an order of the same id, in one transaction. */
  private async publishWithOrders(events: BusEvent[]): Promise<void> {
    const { chance, ordersTableName } = this.options
    const hasPoison = events.some(({ payload }) => (payload as ChaosPayload).isPoison)
    const mustBeRefused = chance.happens(REFUSED) && !hasPoison
    const collect = async (collector: { push(item: TransactWriteItem): unknown }) => {
      for (const { id } of events) collector.push({ Put: { TableName: ordersTableName, Item: { id } } })
      await this.outbox.publish(events, collector as DynamoDBAwsSdkTransactionCollector)
      if (!mustBeRefused) return
      const ConditionExpression = "attribute_exists(id)"
      collector.push({
        ConditionCheck: { TableName: ordersTableName, Key: { id: "never" }, ConditionExpression },
      })
    }
    const isDone = await this.untilKnown(
      chance.happens(0.5) ? () => this.commit(collect) : () => this.send(collect),
    )
    for (const { id, payload } of events) {
      if (mustBeRefused) this.refused.add(id)
      else {
        this.published.set(id, payload as ChaosPayload)
        this.orders.add(id)
      }
    }
    if (isDone === mustBeRefused)
      throw new Error(`a transaction that must ${mustBeRefused ? "not " : ""}succeed`)
  }

  /** By the helper. */
  private async commit(collect: (collector: DynamoDBAwsSdkTransaction) => Promise<void>): Promise<void> {
    await withDynamoDBAwsSdkTransaction(collect, { client: this.documents, retryForMs: COMMITTED_WITHIN_MS })
  }

  /** By hand. */
  private async send(collect: (items: TransactWriteItem[]) => Promise<void>): Promise<void> {
    const items: TransactWriteItem[] = []
    await collect(items)
    await this.documents.send(new TransactWriteCommand({ TransactItems: items }))
  }

  /**
   * @returns whether it was carried out. A refusal because the ids are there says that an earlier try was; ids are never
   * used twice.
   */
  private async untilKnown(publish: () => Promise<unknown>): Promise<boolean> {
    for (;;) {
      try {
        await publish()
        return true
      } catch (error) {
        if (error instanceof ValidationError) return true
        const { CancellationReasons: reasons } = (
          error instanceof TransactionCanceledError ? error.cause : error
        ) as { CancellationReasons?: Array<{ Code?: string }> }
        // Orders and events come in pairs; what is odd is the check by which the transaction must be refused.
        const isOdd = reasons !== undefined && reasons.length % 2 === 1
        if (isOdd && reasons.at(-1)?.Code === "ConditionalCheckFailed") return false
        if (reasons?.some(({ Code }) => Code === "ConditionalCheckFailed")) return true
        await delay(AGAIN_AFTER_MS)
      }
    }
  }
}
