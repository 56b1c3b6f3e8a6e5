/**
 * Sends the commands. Losing a condition comes back as a value; every other error is thrown. A response that is
 * missing, as from a mocked client that has run out, counts as an empty one; one that does not come, as over a
 * connection that hangs, counts as an error after a while, so that no caller blocks indefinitely.
 */
import {
  DeleteCommand,
  type DeleteCommandInput,
  type DynamoDBDocumentClient,
  GetCommand,
  QueryCommand,
  type QueryCommandInput,
  type QueryCommandOutput,
  ScanCommand,
  type ScanCommandInput,
  TransactWriteCommand,
  UpdateCommand,
  type UpdateCommandInput,
} from "@aws-sdk/lib-dynamodb"
import { type Item, isEventItem } from "../item/event-item.ts"
import type { CountRequest, Row } from "../state/status-index.ts"
import type { TransactWriteItem } from "../transaction/collector.ts"
import { isNamed, wrongTable } from "./dynamodb-errors.ts"
import type { RequestDeadline, SendOptions } from "./request-deadline.ts"

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2000

/**
 * What came of a conditional write: the item, where it was asked for; "refused" where the condition did not hold, or "foreign" where
 * it did not because the item is no event, which is known of writes that ask for refused items.
 */
export type WriteOutcome = { item: Item | undefined } | "refused" | "foreign"

/** One page of rows, and where the next one starts. */
export interface Page {
  rows: Row[]
  next?: Record<string, unknown>
}

export class Requests {
  /**
   * @param client - Asked anew for each request, since tests replace it.
   * @param deadline - How long to wait for responses, and to retry.
   * @param aborts - Whether requests that are given up are aborted, for which `send` gets a second argument.
   */
  constructor(
    private readonly client: () => Pick<DynamoDBDocumentClient, "send">,
    private readonly deadline: RequestDeadline,
    private readonly aborts: boolean,
  ) {}

  /** @param limitMs - How long to wait for the response; default: as long as the deadline allows. */
  async write(input: UpdateCommandInput, limitMs?: number): Promise<WriteOutcome> {
    const command = new UpdateCommand(input)
    try {
      const response = await this.deadline.within(
        (options) => this.client().send(command, ...this.optionsToSend(options)),
        limitMs,
      )
      return { item: response?.Attributes }
    } catch (error) {
      if (isNamed(error, "ConditionalCheckFailedException"))
        return isOfForeignItem(error) ? "foreign" : "refused"
      throw wrongTable(error, input.TableName) ?? error
    }
  }

  /** Deletes an item, on a condition. */
  async delete(input: DeleteCommandInput): Promise<WriteOutcome> {
    const command = new DeleteCommand(input)
    try {
      await this.deadline.within((options) => this.client().send(command, ...this.optionsToSend(options)))
      return { item: undefined }
    } catch (error) {
      if (isNamed(error, "ConditionalCheckFailedException")) return "refused"
      throw wrongTable(error, input.TableName) ?? error
    }
  }

  /**
   * Like {@link write}, but retries for as long as the deadline allows: for what must not be given up at the first error.
   *
   * @param onError - Told of the first error only.
   * @returns undefined if no try succeeded.
   */
  async writePersistently(
    input: UpdateCommandInput | DeleteCommandInput,
    onError: (error: unknown) => void,
  ): Promise<WriteOutcome | undefined> {
    const since = performance.now()
    for (let tries = 0; ; tries++) {
      try {
        return await ("UpdateExpression" in input ? this.write(input) : this.delete(input))
      } catch (error) {
        if (tries === 0) onError(error)
        if (isNamed(error, "ValidationException")) return undefined
        const leftMs = this.deadline.leftToRetry(since)
        if (leftMs <= 0) return undefined
        const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS)
        await pause(Math.min(pauseMs, leftMs))
        if (this.deadline.leftToRetry(since) <= 0) return undefined
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
      if (refused.length === 0) throw wrongTable(error, items[0]?.Put?.TableName) ?? error
      return refused
    }
  }

  async query(input: QueryCommandInput): Promise<Page> {
    const command = new QueryCommand(input)
    return toPage(
      await this.deadline.within((options) => this.client().send(command, ...this.optionsToSend(options))),
    )
  }

  /** How many rows a page of a query has that only counts, and where the next one starts. */
  async count(input: CountRequest): Promise<{ count: number; next: Record<string, unknown> | undefined }> {
    const command = new QueryCommand(input)
    const response = await this.deadline.within((options) =>
      this.client().send(command, ...this.optionsToSend(options)),
    )
    return { count: response?.Count ?? 0, next: response?.LastEvaluatedKey }
  }

  async scan(input: ScanCommandInput): Promise<Page> {
    const command = new ScanCommand(input)
    return toPage(
      await this.deadline.within((options) => this.client().send(command, ...this.optionsToSend(options))),
    )
  }

  /**
   * Reads the item as it is now, whatever an index shows.
   *
   * @param attributes - Those to read; default: all.
   */
  async get(tableName: string, id: string, attributes?: readonly string[]): Promise<Item | undefined> {
    const command = new GetCommand({
      TableName: tableName,
      Key: { id },
      ConsistentRead: true,
      ...(attributes && {
        ProjectionExpression: attributes.map((name) => `#${name}`).join(", "),
        ExpressionAttributeNames: Object.fromEntries(attributes.map((name) => [`#${name}`, name])),
      }),
    })
    try {
      const response = await this.deadline.within((options) =>
        this.client().send(command, ...this.optionsToSend(options)),
      )
      return response?.Item
    } catch (error) {
      throw wrongTable(error, tableName) ?? error
    }
  }

  private optionsToSend(options: SendOptions): [] | [SendOptions] {
    return this.aborts ? [options] : []
  }
}

/** Unlike those of `node:timers/promises`, the global timers are replaced by the fake ones of tests. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** The item that such an error carries is looked at here and nowhere else: it has a payload. */
function isOfForeignItem(error: unknown): boolean {
  const { Item: item } = error as { Item?: Item }
  return item !== undefined && !isEventItem(item)
}

function refusedPositions(error: unknown): number[] {
  if (!isNamed(error, "TransactionCanceledException")) return []
  const reasons = (error as { CancellationReasons?: Array<{ Code?: string }> }).CancellationReasons ?? []
  return reasons.flatMap(({ Code }, position) => (Code === "ConditionalCheckFailed" ? [position] : []))
}

/** Reads a query's response. None at all is an empty one: a mocked client that has run out gives that. */
export function toPage(response: Partial<QueryCommandOutput> | undefined): Page {
  const page: Page = { rows: (response?.Items ?? []) as Row[] }
  if (response?.LastEvaluatedKey) page.next = response.LastEvaluatedKey
  return page
}
