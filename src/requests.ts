/**
 * Sends the commands. Losing a condition comes back as a value; every other error is thrown. An answer that is
 * missing, as from a mocked client that has run out, counts as an empty one; one that does not come, as over a
 * connection that hangs, counts as an error after a while, so that nothing waits for ever.
 */
import {
  type DynamoDBDocumentClient,
  GetCommand,
  QueryCommand,
  type QueryCommandInput,
  TransactWriteCommand,
  UpdateCommand,
  type UpdateCommandInput,
} from "@aws-sdk/lib-dynamodb"
import { TimeoutError } from "outbox-event-bus"
import type { TransactWriteItem } from "./collector.ts"
import type { Item } from "./event-item.ts"
import { type Page, toPage } from "./status-index.ts"

/** However short the leases are, a slow answer gets this long. */
const MIN_ANSWER_MS = 10_000
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2000
/** How long a stop waits for a database that fails. */
const HURRY_MS = 5000

/** What came of a conditional write: the item, where it was asked for; "refused" where the condition did not hold. */
export type WriteOutcome = { item: Item | undefined } | "refused"

export class Requests {
  private readonly answerWithinMs: number
  /** Epoch milliseconds after which no write is tried again. */
  private giveUpAt = Number.POSITIVE_INFINITY

  /**
   * @param client - Asked anew for each request, since tests replace it.
   * @param leaseMs - After the length of a lease, an answer is of no use any more.
   */
  constructor(
    private readonly client: () => Pick<DynamoDBDocumentClient, "send">,
    private readonly leaseMs: number,
  ) {
    this.answerWithinMs = Math.max(MIN_ANSWER_MS, leaseMs)
  }

  /** From now on, failing writes are given up after a few seconds: the process wants to end. */
  hurry(): void {
    this.giveUpAt = Date.now() + HURRY_MS
  }

  /** Undoes {@link hurry}. */
  takeTime(): void {
    this.giveUpAt = Number.POSITIVE_INFINITY
  }

  async write(input: UpdateCommandInput): Promise<WriteOutcome> {
    try {
      const answer = await this.inTime(this.client().send(new UpdateCommand(input)))
      return { item: answer?.Attributes }
    } catch (error) {
      if (isNamed(error, "ConditionalCheckFailedException")) return "refused"
      throw error
    }
  }

  /**
   * Like {@link write}, but tries again for as long as a lease lasts: for what must not be given up at the first error.
   *
   * @param onError - Told of the first error only.
   * @returns undefined if no try succeeded.
   */
  async writePersistently(
    input: UpdateCommandInput,
    onError: (error: unknown) => void,
  ): Promise<WriteOutcome | undefined> {
    const until = Date.now() + this.leaseMs
    for (let tries = 0; ; tries++) {
      try {
        return await this.write(input)
      } catch (error) {
        if (tries === 0) onError(error)
        if (isNamed(error, "ValidationException") || Date.now() >= Math.min(until, this.giveUpAt))
          return undefined
        await pause(Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS))
      }
    }
  }

  /** @returns the positions of the items whose condition did not hold; if there are any, nothing was written. */
  async writeAll(items: TransactWriteItem[]): Promise<number[]> {
    try {
      await this.client().send(new TransactWriteCommand({ TransactItems: items }))
      return []
    } catch (error) {
      const refused = refusedPositions(error)
      if (refused.length === 0) throw error
      return refused
    }
  }

  async query(input: QueryCommandInput): Promise<Page> {
    return toPage(await this.inTime(this.client().send(new QueryCommand(input))))
  }

  /** Reads the item as it is now, whatever an index shows. */
  async get(tableName: string, id: string): Promise<Item | undefined> {
    const command = new GetCommand({ TableName: tableName, Key: { id }, ConsistentRead: true })
    const answer = await this.inTime(this.client().send(command))
    return answer?.Item
  }

  private async inTime<T>(answer: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<never>((_, reject) => {
      const error = () => reject(new TimeoutError("an answer of DynamoDB", this.answerWithinMs))
      timer = setTimeout(error, this.answerWithinMs).unref()
    })
    try {
      return await Promise.race([answer, timeout])
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Unlike those of `node:timers/promises`, the global timers are replaced by the fake ones of tests. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

export function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name
}

function refusedPositions(error: unknown): number[] {
  if (!isNamed(error, "TransactionCanceledException")) return []
  const reasons = (error as { CancellationReasons?: Array<{ Code?: string }> }).CancellationReasons ?? []
  return reasons.flatMap(({ Code }, position) => (Code === "ConditionalCheckFailed" ? [position] : []))
}
