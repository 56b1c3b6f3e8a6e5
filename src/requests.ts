/**
 * Sends the commands. Losing a condition comes back as a value; every other error is thrown. A response that is
 * missing, as from a mocked client that has run out, counts as an empty one; one that does not come, as over a
 * connection that hangs, counts as an error after a while, so that no caller blocks indefinitely.
 */
import { types } from "node:util"
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
import type { RequestDeadline, SendOptions } from "./request-deadline.ts"
import { type Page, toPage } from "./status-index.ts"

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2000

/** What came of a conditional write: the item, where it was asked for; "refused" where the condition did not hold. */
export type WriteOutcome = { item: Item | undefined } | "refused"

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
      if (isNamed(error, "ConditionalCheckFailedException")) return "refused"
      throw error
    }
  }

  /**
   * Like {@link write}, but retries for as long as the deadline allows: for what must not be given up at the first error.
   *
   * @param onError - Told of the first error only.
   * @returns undefined if no try succeeded.
   */
  async writePersistently(
    input: UpdateCommandInput,
    onError: (error: unknown) => void,
  ): Promise<WriteOutcome | undefined> {
    const since = performance.now()
    for (let tries = 0; ; tries++) {
      try {
        return await this.write(input)
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
      if (refused.length === 0) throw error
      return refused
    }
  }

  async query(input: QueryCommandInput): Promise<Page> {
    const command = new QueryCommand(input)
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
    const response = await this.deadline.within((options) =>
      this.client().send(command, ...this.optionsToSend(options)),
    )
    return response?.Item
  }

  private optionsToSend(options: SendOptions): [] | [SendOptions] {
    return this.aborts ? [options] : []
  }
}

/** Unlike those of `node:timers/promises`, the global timers are replaced by the fake ones of tests. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/**
 * Whether DynamoDB calls an error so. Where the SDK has lost the class of an error (two copies of its core), only
 * `__type` still tells: `com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException`.
 */
export function isNamed(error: unknown, name: string): boolean {
  if (!(error instanceof Error) && !types.isNativeError(error)) return false
  const { __type } = error as { __type?: unknown }
  return error.name === name || (typeof __type === "string" && __type.replace(/^.*#/, "") === name)
}

function refusedPositions(error: unknown): number[] {
  if (!isNamed(error, "TransactionCanceledException")) return []
  const reasons = (error as { CancellationReasons?: Array<{ Code?: string }> }).CancellationReasons ?? []
  return reasons.flatMap(({ Code }, position) => (Code === "ConditionalCheckFailed" ? [position] : []))
}
