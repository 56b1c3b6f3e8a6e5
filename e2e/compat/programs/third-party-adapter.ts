/** An adapter of another database, as its author has written it for the original core. */
import {
  type BusEvent,
  type ErrorHandler,
  EventStatus,
  type FailedBusEvent,
  formatErrorMessage,
  type IOutbox,
  type OutboxConfig,
  PollingService,
  type ResolvedOutboxConfig,
  reportEventError,
} from "outbox-event-bus"

interface Row {
  id: string
  type: string
  payload: unknown
  occurredAt: Date
  status: EventStatus
  retryCount: number
  dueAt: Date
  lastError?: string
}

interface Database {
  insert(rows: Row[]): Promise<void>
  select(status: EventStatus, limit: number): Promise<Row[]>
  update(id: string, change: Partial<Row>): Promise<void>
}

export interface SqlOutboxConfig extends OutboxConfig {
  database: Database
  getTransaction?: (() => Database | undefined) | undefined
}

export class SqlOutbox implements IOutbox<Database> {
  private readonly config: ResolvedOutboxConfig & { database: Database }
  private readonly poller: PollingService

  constructor(config: SqlOutboxConfig) {
    this.config = {
      batchSize: config.batchSize ?? 50,
      pollIntervalMs: config.pollIntervalMs ?? 1000,
      processingTimeoutMs: config.processingTimeoutMs ?? 30_000,
      maxRetries: config.maxRetries ?? 5,
      baseBackoffMs: config.baseBackoffMs ?? 1000,
      maxErrorBackoffMs: config.maxErrorBackoffMs ?? 30_000,
      database: config.database,
    }
    this.poller = new PollingService({
      pollIntervalMs: this.config.pollIntervalMs,
      baseBackoffMs: this.config.baseBackoffMs,
      maxErrorBackoffMs: this.config.maxErrorBackoffMs,
      performMaintenance: () => this.recoverStuckEvents(),
      processBatch: (handler) => this.processBatch(handler),
    })
  }

  async publish(events: BusEvent[], transaction?: Database): Promise<void> {
    const rows = events.map((event) => ({
      ...event,
      status: EventStatus.CREATED,
      retryCount: 0,
      dueAt: event.occurredAt,
    }))
    await (transaction ?? this.config.database).insert(rows)
  }

  async getFailedEvents(): Promise<FailedBusEvent[]> {
    const rows = await this.config.database.select(EventStatus.FAILED, 100)
    return rows.map((row) => {
      const event: FailedBusEvent = {
        id: row.id,
        type: row.type,
        payload: row.payload,
        occurredAt: row.occurredAt,
        retryCount: row.retryCount,
      }
      if (row.lastError) event.error = row.lastError
      return event
    })
  }

  async retryEvents(eventIds: string[]): Promise<void> {
    for (const id of eventIds) {
      await this.config.database.update(id, { status: EventStatus.CREATED, retryCount: 0 })
    }
  }

  start(handler: (event: BusEvent) => Promise<void>, onError: ErrorHandler): void {
    this.poller.start(handler, onError)
  }

  async stop(): Promise<void> {
    await this.poller.stop()
  }

  private async recoverStuckEvents(): Promise<void> {
    for (const row of await this.config.database.select(EventStatus.ACTIVE, 100)) {
      await this.config.database.update(row.id, { status: "created" })
    }
  }

  private async processBatch(handler: (event: BusEvent) => Promise<void>): Promise<void> {
    for (const row of await this.config.database.select(EventStatus.CREATED, this.config.batchSize)) {
      try {
        await handler(row)
        await this.config.database.update(row.id, { status: EventStatus.COMPLETED })
      } catch (error) {
        const retryCount = row.retryCount + 1
        // Before `start` there is no error handler; the function takes that.
        reportEventError(this.poller.onError, error, row, retryCount, this.config.maxRetries)
        await this.config.database.update(row.id, {
          retryCount,
          lastError: formatErrorMessage(error),
          dueAt: new Date(Date.now() + this.poller.calculateBackoff(retryCount)),
        })
      }
    }
  }
}
