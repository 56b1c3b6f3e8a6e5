// Owns the baseline: the algorithm of the original adapter, written anew. Each poll asks for stuck events, reads one
// page of due events with all they carry, and takes them one by one: claim, handler, complete. Then it pauses.
import { setTimeout as delay } from "node:timers/promises"
import { type DynamoDBDocumentClient, QueryCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb"
import { DEFAULT_INDEX_NAME } from "@outbox-event-bus/dynamodb-dev"

const PAGE = 50
const LEASE_MS = 30_000
const POLL_INTERVAL_MS = 1000

type DueItem = { id: string; occurredAt: string }

export interface OriginalWorkerOptions {
  client: DynamoDBDocumentClient
  tableName: string
  /** @default 1000 */
  pollIntervalMs?: number
  handler(event: { id: string; occurredAt: Date }): Promise<void>
  /** Told when a poll begins. */
  onPoll?(): void
}

export class OriginalWorker {
  private readonly pause = new AbortController()
  private ended: Promise<void> | undefined

  constructor(private readonly options: OriginalWorkerOptions) {}

  start(): void {
    this.ended = this.poll()
  }

  async stop(): Promise<void> {
    this.pause.abort()
    await this.ended
  }

  private async poll(): Promise<void> {
    const { pollIntervalMs = POLL_INTERVAL_MS, onPoll, handler } = this.options
    const { signal } = this.pause
    while (!signal.aborted) {
      onPoll?.()
      await this.query("active")
      for (const item of await this.query("created")) {
        if (signal.aborted) return
        if (!(await this.claim(item.id))) continue
        await handler({ id: item.id, occurredAt: new Date(item.occurredAt) })
        await this.complete(item.id)
      }
      await delay(pollIntervalMs, undefined, { signal }).catch(() => {})
    }
  }

  private async query(status: "active" | "created"): Promise<DueItem[]> {
    const answer = await this.options.client.send(
      new QueryCommand({
        TableName: this.options.tableName,
        IndexName: DEFAULT_INDEX_NAME,
        KeyConditionExpression: "#status = :status AND gsiSortKey <= :now",
        ExpressionAttributeNames: { "#status": "status" },
        ExpressionAttributeValues: { ":status": status, ":now": Date.now() },
        ...(status === "created" && { Limit: PAGE }),
      }),
    )
    return (answer.Items ?? []) as DueItem[]
  }

  private async claim(id: string): Promise<boolean> {
    const now = Date.now()
    try {
      await this.options.client.send(
        new UpdateCommand({
          TableName: this.options.tableName,
          Key: { id },
          UpdateExpression: "SET #status = :active, gsiSortKey = :leaseEnd, startedOn = :now",
          ConditionExpression: "#status = :created",
          ExpressionAttributeNames: { "#status": "status" },
          ExpressionAttributeValues: {
            ":active": "active",
            ":created": "created",
            ":leaseEnd": now + LEASE_MS,
            ":now": now,
          },
        }),
      )
      return true
    } catch (error) {
      if ((error as Error).name === "ConditionalCheckFailedException") return false
      throw error
    }
  }

  private async complete(id: string): Promise<void> {
    await this.options.client.send(
      new UpdateCommand({
        TableName: this.options.tableName,
        Key: { id },
        UpdateExpression: "SET #status = :completed, completedOn = :now REMOVE gsiSortKey",
        ExpressionAttributeNames: { "#status": "status" },
        ExpressionAttributeValues: { ":completed": "completed", ":now": Date.now() },
      }),
    )
  }
}
