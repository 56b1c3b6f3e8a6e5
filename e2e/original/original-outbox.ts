/**
 * The one imitation of the original adapter, in two of its versions, for mixed fleets in tests, chaos and benchmarks. It is
 * written from the description of what the original sends, defects included; `original-outbox.test.ts` compares each request
 * with that description. It delivers only: it publishes nothing.
 */
import { type DynamoDBDocumentClient, QueryCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb"
import {
  type BusEvent,
  type ErrorHandler,
  formatErrorMessage,
  HandlerError,
  PollingService,
} from "outbox-event-bus"

/** 1.0.0 claims without a condition; 2.0.3, the newest, with one. */
export type OriginalVersion = "1.0.0" | "2.0.3"

/** The original's options, with its defaults. */
export interface OriginalOutboxOptions {
  tableName: string
  version: OriginalVersion
  /** @default "status-gsiSortKey-index" */
  statusIndexName?: string
  /** @default 50 */
  batchSize?: number
  /** @default 1000 */
  pollIntervalMs?: number
  /** @default 5 */
  maxRetries?: number
  /** @default 1000 */
  baseBackoffMs?: number
  /** @default 30000 */
  processingTimeoutMs?: number
  /** Called when a poll begins. */
  onPoll?: () => void
}

interface Item {
  id: string
  type: string
  payload: unknown
  occurredAt: string
  retryCount?: number
}

type Handler = (event: BusEvent) => Promise<void>

interface Write {
  expression: string
  values: Record<string, unknown>
  condition?: string
}

export class OriginalOutbox {
  private readonly options: Required<OriginalOutboxOptions>
  private readonly poller: PollingService

  constructor(
    private readonly documents: DynamoDBDocumentClient,
    options: OriginalOutboxOptions,
  ) {
    this.options = {
      statusIndexName: "status-gsiSortKey-index",
      batchSize: 50,
      pollIntervalMs: 1000,
      maxRetries: 5,
      baseBackoffMs: 1000,
      processingTimeoutMs: 30_000,
      onPoll: () => {},
      ...options,
    }
    this.poller = new PollingService({
      pollIntervalMs: this.options.pollIntervalMs,
      baseBackoffMs: this.options.baseBackoffMs,
      performMaintenance: () => this.recoverPage(),
      processBatch: (handler) => this.processPage(handler),
    })
  }

  start(handler: Handler, onError: ErrorHandler): void {
    this.poller.start(handler, onError)
  }

  /** Waits for the page under way. */
  async stop(): Promise<void> {
    await this.poller.stop()
  }

  /** All at once, without a condition, and without a report. */
  private async recoverPage(): Promise<void> {
    this.options.onPoll()
    const items = await this.query("active", Date.now())
    await Promise.all(items.map((item) => this.fail(item, "Processing timeout")))
  }

  private async processPage(handler: Handler): Promise<void> {
    const polledAt = Date.now()
    const items = await this.query("created", polledAt, this.options.batchSize)
    for (const item of items) await this.process(item, polledAt, handler)
  }

  /** Handles the item as the query returned it, whatever has become of it since. */
  private async process(item: Item, polledAt: number, handler: Handler): Promise<void> {
    const { id, type, payload } = item
    const event: BusEvent = { id, type, payload, occurredAt: new Date(item.occurredAt) }
    try {
      await this.claim(id, polledAt)
      await handler(event)
      await this.complete(id)
    } catch (error) {
      // Taken for a lost claim, also where it is the handler's own.
      const isSkipped = (error as Error | undefined)?.name === "ConditionalCheckFailedException"
      if (this.options.version === "2.0.3" && isSkipped) return
      await this.fail(item, formatErrorMessage(error))
      this.poller.onError?.(new HandlerError(error, event))
    }
  }

  private async claim(id: string, polledAt: number): Promise<void> {
    const values = {
      ":active": "active",
      ":leaseEnd": polledAt + this.options.processingTimeoutMs,
      ":polledAt": polledAt,
    }
    const expression = "SET #status = :active, gsiSortKey = :leaseEnd, startedOn = :polledAt"
    if (this.options.version === "1.0.0") return this.update(id, { expression, values })
    await this.update(id, {
      expression,
      values: { ...values, ":created": "created" },
      condition: "#status = :created OR (#status = :active AND gsiSortKey <= :polledAt)",
    })
  }

  private async complete(id: string): Promise<void> {
    await this.update(id, {
      expression: "SET #status = :completed, completedOn = :now REMOVE gsiSortKey",
      values: { ":completed": "completed", ":now": Date.now() },
    })
  }

  /** A dead letter leaves the index, where nothing finds it any more. */
  private async fail({ id, retryCount: failedBefore = 0 }: Item, error: string): Promise<void> {
    const retryCount = failedBefore + 1
    const isLast = retryCount >= this.options.maxRetries
    const failure = "#status = :status, retryCount = :count, lastError = :error"
    await this.update(id, {
      expression: isLast
        ? `SET ${failure}, nextRetryAt = :at REMOVE gsiSortKey`
        : `SET ${failure}, gsiSortKey = :at`,
      values: {
        ":status": isLast ? "failed" : "created",
        ":count": retryCount,
        ":error": error,
        ":at": Date.now() + (isLast ? 0 : this.poller.calculateBackoff(retryCount)),
      },
    })
  }

  private async query(status: "active" | "created", until: number, limit?: number): Promise<Item[]> {
    const response = await this.documents.send(
      new QueryCommand({
        TableName: this.options.tableName,
        IndexName: this.options.statusIndexName,
        KeyConditionExpression: "#status = :status AND gsiSortKey <= :until",
        ExpressionAttributeNames: { "#status": "status" },
        ExpressionAttributeValues: { ":status": status, ":until": until },
        ...(limit !== undefined && { Limit: limit }),
      }),
    )
    return (response?.Items ?? []) as Item[]
  }

  private async update(id: string, { expression, values, condition }: Write): Promise<void> {
    await this.documents.send(
      new UpdateCommand({
        TableName: this.options.tableName,
        Key: { id },
        UpdateExpression: expression,
        ExpressionAttributeNames: { "#status": "status" },
        ExpressionAttributeValues: values,
        ...(condition !== undefined && { ConditionExpression: condition }),
      }),
    )
  }
}
