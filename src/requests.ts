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
import type { TransactWriteItem } from "./collector.ts"
import type { Item } from "./event-item.ts"
import type { Patience } from "./patience.ts"
import { type Page, toPage } from "./status-index.ts"

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2000

/** What came of a conditional write: the item, where it was asked for; "refused" where the condition did not hold. */
export type WriteOutcome = { item: Item | undefined } | "refused"

export class Requests {
  /**
   * @param client - Asked anew for each request, since tests replace it.
   * @param patience - How long to wait for answers, and to try again.
   */
  constructor(
    private readonly client: () => Pick<DynamoDBDocumentClient, "send">,
    private readonly patience: Patience,
  ) {}

  async write(input: UpdateCommandInput): Promise<WriteOutcome> {
    try {
      const answer = await this.patience.inTime(this.client().send(new UpdateCommand(input)))
      return { item: answer?.Attributes }
    } catch (error) {
      if (isNamed(error, "ConditionalCheckFailedException")) return "refused"
      throw error
    }
  }

  /**
   * Like {@link write}, but tries again for as long as patience lasts: for what must not be given up at the first error.
   *
   * @param onError - Told of the first error only.
   * @returns undefined if no try succeeded.
   */
  async writePersistently(
    input: UpdateCommandInput,
    onError: (error: unknown) => void,
  ): Promise<WriteOutcome | undefined> {
    const since = Date.now()
    for (let tries = 0; ; tries++) {
      try {
        return await this.write(input)
      } catch (error) {
        if (tries === 0) onError(error)
        if (isNamed(error, "ValidationException") || !this.patience.lasts(since)) return undefined
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
    return toPage(await this.patience.inTime(this.client().send(new QueryCommand(input))))
  }

  /** Reads the item as it is now, whatever an index shows. */
  async get(tableName: string, id: string): Promise<Item | undefined> {
    const command = new GetCommand({ TableName: tableName, Key: { id }, ConsistentRead: true })
    const answer = await this.patience.inTime(this.client().send(command))
    return answer?.Item
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
