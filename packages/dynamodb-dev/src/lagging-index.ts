// Owns a view of indexes as they were a while ago. Real indexes lag, by milliseconds mostly and by seconds when DynamoDB
// is busy; local engines' never do. The view is a faithful one: each answer is what the index held at one moment.
import {
  type DynamoDBClient,
  QueryCommand,
  type QueryCommandInput,
  type QueryCommandOutput,
} from "@aws-sdk/client-dynamodb"
import { pageOf, readKeyCondition, type WireItem, type WireQuery } from "./key-condition.ts"

/** An index partition at one moment. */
interface Snapshot {
  at: number
  rows: WireItem[]
}

interface Partition {
  snapshots: Snapshot[]
  lastAskedAt: number
  keyNames: string[]
  /** Takes the next snapshot. */
  take(): Promise<void>
  isTaking: boolean
}

/** So many snapshots span the longest lag. */
const SNAPSHOTS_PER_LAG = 20
const LEAST_INTERVAL_MS = 25
/** A partition that nobody has asked for is not followed any more. */
const FORGET_AFTER_MS = 30_000

export class LaggingIndex {
  readonly #read: (input: QueryCommandInput) => Promise<QueryCommandOutput>
  readonly #longestLagMs: number
  readonly #partitions = new Map<string, Partition>()
  #timer: NodeJS.Timeout | undefined

  /**
   * @param client - Reads the index as it is.
   * @param longestLagMs - How far back the view goes.
   * @param exempt - Runs what it is given without faults.
   */
  constructor(client: DynamoDBClient, longestLagMs: number, exempt: <T>(run: () => T) => T) {
    this.#read = (input) => exempt(() => client.send(new QueryCommand(input)))
    this.#longestLagMs = longestLagMs
  }

  /**
   * Answers a query of an index from the state of `lagMs` ago, or the oldest that is known.
   *
   * @returns undefined where there is none, as at a partition's first query, or the key condition can't be read.
   */
  async answer(query: WireQuery, lagMs: number): Promise<ReturnType<typeof pageOf> | undefined> {
    const condition = readKeyCondition(query)
    if (condition === undefined) return undefined
    const key = JSON.stringify([query.TableName, query.IndexName, condition.partition])
    const known = this.#partitions.get(key)
    const partition = known ?? this.#follow(key, query, condition)
    partition.lastAskedAt = performance.now()
    if (known === undefined) await this.#takeIn(partition)
    const wantedAt = performance.now() - lagMs
    const snapshot = partition.snapshots.findLast(({ at }) => at <= wantedAt) ?? partition.snapshots[0]
    return snapshot && pageOf(snapshot.rows, query, condition, partition.keyNames)
  }

  /** Follows no index any more. */
  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#partitions.clear()
  }

  #follow(
    key: string,
    query: WireQuery,
    { partitionKey, partition }: { partitionKey: string; partition: unknown },
  ) {
    const followed: Partition = {
      snapshots: [],
      lastAskedAt: 0,
      keyNames: [],
      isTaking: false,
      take: async () => {
        const at = performance.now()
        const rows: WireItem[] = []
        let startAfter: unknown
        do {
          // The very first page has one row: what it says of where it continues tells the names of the keys.
          const page = await this.#read({
            TableName: query.TableName,
            IndexName: query.IndexName,
            KeyConditionExpression: "#partition = :partition",
            ExpressionAttributeNames: { "#partition": partitionKey },
            ExpressionAttributeValues: { ":partition": partition },
            ...(startAfter !== undefined && { ExclusiveStartKey: startAfter }),
            ...(followed.keyNames.length === 0 && { Limit: 1 }),
          } as unknown as QueryCommandInput)
          rows.push(...((page.Items ?? []) as unknown as WireItem[]))
          startAfter = page.LastEvaluatedKey
          if (startAfter !== undefined) followed.keyNames = Object.keys(startAfter as object)
        } while (startAfter !== undefined)
        followed.snapshots.push({ at, rows })
      },
    }
    this.#partitions.set(key, followed)
    const intervalMs = Math.max(LEAST_INTERVAL_MS, this.#longestLagMs / SNAPSHOTS_PER_LAG)
    this.#timer ??= setInterval(() => this.#takeAll(), intervalMs).unref()
    return followed
  }

  #takeAll(): void {
    const now = performance.now()
    for (const [key, partition] of this.#partitions) {
      if (now - partition.lastAskedAt > FORGET_AFTER_MS) this.#partitions.delete(key)
      else void this.#takeIn(partition)
    }
  }

  async #takeIn(partition: Partition): Promise<void> {
    if (partition.isTaking) return
    partition.isTaking = true
    try {
      await partition.take()
    } catch {
      // The engine is away; the view stays as it was.
    } finally {
      partition.isTaking = false
    }
    const oldest = performance.now() - this.#longestLagMs
    // The newest of those that are old enough is still needed.
    while ((partition.snapshots[1]?.at ?? Number.POSITIVE_INFINITY) <= oldest) partition.snapshots.shift()
  }
}
