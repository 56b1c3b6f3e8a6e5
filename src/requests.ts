/**
 * Sends the commands. Losing a condition comes back as a value; every other error is thrown. An answer that is
 * missing, as from a mocked client that has run out, counts as an empty one.
 */
import { setTimeout as delay } from "node:timers/promises"
import {
  type DynamoDBDocumentClient,
  GetCommand,
  QueryCommand,
  type QueryCommandInput,
  TransactWriteCommand,
  UpdateCommand,
  type UpdateCommandInput,
} from "@aws-sdk/lib-dynamodb"
import type { TransactWriteItem } from "./collector.ts"
import type { Item } from "./event-item.ts"
import { type Page, toPage } from "./status-index.ts"

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2000

/** What came of a conditional write: the item, where it was asked for; "refused" where the condition did not hold. */
export type WriteOutcome = { item: Item | undefined } | "refused"

export class Requests {
  /** @param client - Asked anew for each request, since tests replace it. */
  constructor(private readonly client: () => Pick<DynamoDBDocumentClient, "send">) {}

  async write(input: UpdateCommandInput): Promise<WriteOutcome> {
    try {
      const answer = await this.client().send(new UpdateCommand(input))
      return { item: answer?.Attributes }
    } catch (error) {
      if (isNamed(error, "ConditionalCheckFailedException")) return "refused"
      throw error
    }
  }

  /**
   * Like {@link write}, but tries again until `until`: for what must not be given up at the first error.
   *
   * @param until - Epoch milliseconds.
   * @param onError - Told of the first error only.
   * @returns undefined if no try succeeded.
   */
  async writePersistently(
    input: UpdateCommandInput,
    until: number,
    onError: (error: unknown) => void,
  ): Promise<WriteOutcome | undefined> {
    for (let tries = 0; ; tries++) {
      try {
        return await this.write(input)
      } catch (error) {
        if (tries === 0) onError(error)
        if (isNamed(error, "ValidationException") || Date.now() >= until) return undefined
        await delay(Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS))
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
    return toPage(await this.client().send(new QueryCommand(input)))
  }

  /** Reads the item as it is now, whatever an index shows. */
  async get(tableName: string, id: string): Promise<Item | undefined> {
    const answer = await this.client().send(
      new GetCommand({ TableName: tableName, Key: { id }, ConsistentRead: true }),
    )
    return answer?.Item
  }
}

export function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name
}

function refusedPositions(error: unknown): number[] {
  if (!isNamed(error, "TransactionCanceledException")) return []
  const reasons = (error as { CancellationReasons?: Array<{ Code?: string }> }).CancellationReasons ?? []
  return reasons.flatMap(({ Code }, position) => (Code === "ConditionalCheckFailed" ? [position] : []))
}
