/**
 * A worker that behaves as the original adapter does, written anew from the description of its behaviour: one page of 50,
 * one event after another, then a pause. Claims are conditional; whatever follows is not. It knows none of the attributes
 * that we add, and drops dead letters from the index.
 */
import { setTimeout as delay } from "node:timers/promises"
import { DynamoDBDocumentClient, QueryCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb"
import { onTestFinished } from "vitest"
import { type Item, newClient, type TestTable } from "./fixture/table.ts"

const PAGE = 50

export interface OriginalWorkerOptions {
  handler?: (item: Item) => unknown
  maxRetries?: number
  baseBackoffMs?: number
  pollIntervalMs?: number
  processingTimeoutMs?: number
}

export class OriginalWorker {
  readonly deliveredIds: string[] = []
  private readonly documents = DynamoDBDocumentClient.from(newClient())
  private readonly options: Required<OriginalWorkerOptions>
  private isStopped = false
  private loop: Promise<void> = Promise.resolve()

  constructor(
    private readonly tableName: string,
    options: OriginalWorkerOptions,
  ) {
    this.options = {
      handler: () => {},
      maxRetries: 5,
      baseBackoffMs: 2,
      pollIntervalMs: 10,
      processingTimeoutMs: 10_000,
      ...options,
    }
  }

  start(): void {
    this.loop = this.run()
  }

  async stop(): Promise<void> {
    this.isStopped = true
    await this.loop
  }

  private async run(): Promise<void> {
    while (!this.isStopped) {
      for (const item of await this.page("active")) await this.recover(item)
      for (const item of await this.page("created")) await this.process(item)
      await delay(this.options.pollIntervalMs)
    }
  }

  private async page(status: string): Promise<Item[]> {
    const { Items: items = [] } = await this.documents.send(
      new QueryCommand({
        TableName: this.tableName,
        IndexName: "status-gsiSortKey-index",
        KeyConditionExpression: "#status = :status AND gsiSortKey <= :now",
        ExpressionAttributeNames: { "#status": "status" },
        ExpressionAttributeValues: { ":status": status, ":now": Date.now() },
        Limit: PAGE,
      }),
    )
    return items
  }

  private async process(item: Item): Promise<void> {
    if (this.isStopped) return
    try {
      await this.claim(item)
      this.deliveredIds.push(item.id)
      await this.options.handler(item)
      await this.complete(item)
    } catch (error) {
      // Also where the exception is the handler's own.
      if ((error as Error).name === "ConditionalCheckFailedException") return
      await this.fail(item, (error as Error).message)
    }
  }

  private async claim({ id }: Item): Promise<void> {
    const now = Date.now()
    await this.update(id, "SET #status = :active, gsiSortKey = :lease, startedOn = :now", {
      ":active": "active",
      ":lease": now + this.options.processingTimeoutMs,
      ":now": now,
      ":created": "created",
    })
  }

  private async complete({ id }: Item): Promise<void> {
    await this.update(id, "SET #status = :completed, completedOn = :now REMOVE gsiSortKey", {
      ":completed": "completed",
      ":now": Date.now(),
    })
  }

  private async recover(item: Item): Promise<void> {
    await this.fail(item, "Processing timeout")
  }

  private async fail({ id, retryCount }: Item, error: string): Promise<void> {
    const attempts = (retryCount ?? 0) + 1
    const values = { ":count": attempts, ":error": error }
    if (attempts >= this.options.maxRetries) {
      await this.update(
        id,
        "SET #status = :failed, retryCount = :count, lastError = :error REMOVE gsiSortKey",
        {
          ...values,
          ":failed": "failed",
        },
      )
    } else {
      await this.update(
        id,
        "SET #status = :retry, retryCount = :count, lastError = :error, gsiSortKey = :next, nextRetryAt = :next",
        {
          ...values,
          ":retry": "created",
          ":next": Date.now() + this.options.baseBackoffMs * 2 ** (attempts - 1),
        },
      )
    }
  }

  private async update(id: string, expression: string, values: Item): Promise<void> {
    await this.documents.send(
      new UpdateCommand({
        TableName: this.tableName,
        Key: { id },
        UpdateExpression: expression,
        ExpressionAttributeNames: { "#status": "status" },
        ExpressionAttributeValues: values,
        ...(":created" in values && { ConditionExpression: "#status = :created" }),
      }),
    )
  }
}

/** Starts a worker that behaves as the original, stopped after the test. */
export function startOriginalWorker(table: TestTable, options: OriginalWorkerOptions = {}): OriginalWorker {
  const worker = new OriginalWorker(table.tableName, options)
  worker.start()
  onTestFinished(() => worker.stop())
  return worker
}
