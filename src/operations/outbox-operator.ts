/** What operators ask of an outbox and do to it, as one class: the command line and other tools work with nothing else. */
import {
  DescribeContinuousBackupsCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  type DynamoDBClient,
} from "@aws-sdk/client-dynamodb"
import type { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import { EventStatus, type FailedBusEvent, ValidationError } from "outbox-event-bus"
import { type DynamoDBAwsSdkOutboxConfig, type ResolvedConfig, resolveConfig } from "../config.ts"
import { forEachBounded } from "../database/bounded.ts"
import { documentClientFor } from "../database/document-client.ts"
import { isNamed } from "../database/dynamodb-errors.ts"
import { RequestDeadline } from "../database/request-deadline.ts"
import type { Page } from "../database/requests.ts"
import { Requests } from "../database/requests.ts"
import { assertEventIds } from "../item/event-ids.ts"
import { type Item, isEventItem, toFailedEvent } from "../item/event-item.ts"
import { fromStoredLeniently } from "../item/stored-value.ts"
import { described } from "../process/shown.ts"
import * as transitions from "../state/operator-transitions.ts"
import { failedEvents, type Row } from "../state/status-index.ts"
import { type Backlog, readBacklog } from "./backlog.ts"
import { changeEach, type Progress, type WorkOptions } from "./change-each.ts"
import {
  assertFilter,
  type DeadLetterFilter,
  type DeadLetterGroup,
  fits,
  groupsOf,
  needsWholeItem,
} from "./dead-letter-filter.ts"
import { type Finding, judgeTable, missingTable } from "./table-check.ts"

/** Options of {@link OutboxOperator}: those of the outbox that say where it is, and what becomes of delivered events. */
export type OutboxOperatorConfig = Pick<
  DynamoDBAwsSdkOutboxConfig,
  "client" | "tableName" | "statusIndexName" | "completedEvents"
>

/** Which dead letters are meant: their ids, or what they have in common. */
export type DeadLetterSelection = readonly string[] | DeadLetterFilter

/** Options of {@link OutboxOperator.discard}. */
export interface DiscardOptions extends WorkOptions {
  /** Why they are given up; stored with each. Up to 1000 characters. */
  reason: string
}

const PAGE = 100
const READS_AT_ONCE = 10
const MAX_REASON = 1000

/**
 * The operators' view of an outbox: figures, dead letters, the table. Works among running relays; each of its writes is refused where
 * an event is not in the state that it needs.
 *
 * @example
 * ```ts
 * const operator = new OutboxOperator({ client: new DynamoDBClient({}), tableName: "outbox" })
 * console.table(await operator.countDeadLetters())
 * await operator.retry({ type: "order.placed" }, { perSecond: 50 })
 * ```
 */
export class OutboxOperator {
  private readonly config: ResolvedConfig
  private readonly client: DynamoDBClient
  private readonly requests: Requests

  /**
   * @param config - See {@link OutboxOperatorConfig}.
   * @throws {ConfigurationError} for an option that is not allowed.
   */
  constructor(config: OutboxOperatorConfig) {
    this.config = resolveConfig(config)
    this.client = config.client
    const documents: DynamoDBDocumentClient = documentClientFor(config.client)
    this.requests = new Requests(() => documents, new RequestDeadline(this.config.processingTimeoutMs), true)
  }

  /**
   * Counts what waits, what is under way and what is stuck. Costs four queries, which read up to `countUpTo` index rows each (about half a
   * read unit per 30 rows), and up to eleven small reads.
   *
   * @param options - `countUpTo`: where counting ends. Whole number of at least 1; default 1000.
   */
  async getBacklog({ countUpTo = 1000 }: { countUpTo?: number } = {}): Promise<Backlog> {
    if (!Number.isInteger(countUpTo) || countUpTo < 1) {
      throw new ValidationError(
        `Invalid countUpTo: ${described(countUpTo)}. Allowed: a whole number of at least 1.`,
      )
    }
    return readBacklog(this.requests, this.config, countUpTo)
  }

  /**
   * All dead letters, the newest occurrence first, page by page; those that fit the filter.
   *
   * @param filter - Default: all.
   * @throws {ValidationError} for a filter that is not allowed.
   */
  async *deadLetters(filter: DeadLetterFilter = {}): AsyncGenerator<FailedBusEvent, void, void> {
    for await (const page of this.pages(filter)) {
      for (const event of await this.read(page)) if (fits(event, filter)) yield event
    }
  }

  /**
   * Counts dead letters by type and kind of error: texts that differ only in ids, numbers and quoted values are of one kind.
   *
   * @param filter - Default: all.
   * @returns the largest group first.
   */
  async countDeadLetters(filter: DeadLetterFilter = {}): Promise<DeadLetterGroup[]> {
    const groups = new Map<string, DeadLetterGroup>()
    for await (const event of this.deadLetters(filter)) groupsOf([event], groups)
    return [...groups.values()].sort((a, b) => b.count - a.count)
  }

  /** One event, whatever its state, with all attributes that are stored. */
  async find(id: string): Promise<Record<string, unknown> | undefined> {
    const item = await this.requests.get(this.config.tableName, id)
    return (
      item &&
      Object.fromEntries(Object.entries(item).map(([name, value]) => [name, fromStoredLeniently(value)]))
    )
  }

  /**
   * Sets dead letters back: due now, with all attempts before them.
   *
   * @param selection - Ids, or a filter; `{}` for all.
   * @param options - Pace, progress, and when to end.
   * @returns how many were set back, and how many were no dead letters any more.
   * @throws {OperationalError} for a request that fails; `context.progress` says what was done.
   */
  async retry(
    selection: DeadLetterSelection,
    options: WorkOptions = {},
  ): Promise<{ retried: number; skipped: number }> {
    const { done, skipped } = await this.change(selection, options, (id) =>
      transitions.retry(this.config.tableName, id, Date.now()),
    )
    return { retried: done, skipped }
  }

  /**
   * Gives dead letters up: they become completed events with `discardedOn` and `discardReason`, and expire as such; with
   * `completedEvents: "delete"`, they are deleted.
   *
   * @param selection - Ids, or a filter; `{}` for all.
   * @param options - The reason; pace, progress, and when to end.
   * @returns how many were discarded, and how many were no dead letters any more.
   */
  async discard(
    selection: DeadLetterSelection,
    { reason, ...options }: DiscardOptions,
  ): Promise<{ discarded: number; skipped: number }> {
    if (typeof reason !== "string" || reason.trim() === "" || reason.length > MAX_REASON) {
      throw new ValidationError(
        `Invalid reason: ${described(reason)}. Allowed: a text of 1 to ${MAX_REASON} characters.`,
      )
    }
    const { tableName, completedEvents } = this.config
    const { done, skipped } = await this.change(selection, options, (id) =>
      completedEvents.kind === "delete"
        ? transitions.discardAndDelete(tableName, id)
        : transitions.discard(tableName, id, reason, Date.now(), completedEvents),
    )
    return { discarded: done, skipped }
  }

  /**
   * Makes the dead letters visible that the original adapter has removed from the index. Scans the table, which needs
   * `dynamodb:Scan` and half a read unit per 4 KB.
   */
  async repair(options: WorkOptions = {}): Promise<{ repaired: number; skipped: number }> {
    const condition = "#status = :failed AND attribute_not_exists(gsiSortKey)"
    const times = new Map<string, number>()
    const { tableName } = this.config
    const hidden = this.scan(condition, { ":failed": EventStatus.FAILED }, "id, occurredAt", (item) => {
      const occurredAt = Date.parse(String(item.occurredAt))
      times.set(item.id as string, Number.isNaN(occurredAt) ? Date.now() : occurredAt)
    })
    const { done, skipped } = await changeEach(hidden, options, (id) =>
      this.write(transitions.restore(tableName, id, times.get(id) as number)),
    )
    return { repaired: done, skipped }
  }

  /**
   * Deletes events that were completed before a time. Scans the table, which needs `dynamodb:Scan` and `dynamodb:DeleteItem`, half a read
   * unit per 4 KB and a write unit per KB deleted.
   *
   * @param completedBefore - Events completed before that are deleted.
   */
  async purge(
    completedBefore: Date,
    options: WorkOptions = {},
  ): Promise<{ purged: number; skipped: number }> {
    if (!(completedBefore instanceof Date) || Number.isNaN(completedBefore.getTime())) {
      throw new ValidationError(
        `Invalid completedBefore: ${described(completedBefore)}. Allowed: a valid Date.`,
      )
    }
    const before = completedBefore.getTime()
    const values = { ":completed": EventStatus.COMPLETED, ":before": before }
    const old = this.scan("#status = :completed AND completedOn < :before", values, "id")
    const { tableName } = this.config
    const { done, skipped } = await changeEach(old, options, (id) =>
      this.write(transitions.purge(tableName, id, before)),
    )
    return { purged: done, skipped }
  }

  /**
   * Checks the table: keys, index, TTL, billing, stream, protection and backups. Needs `dynamodb:DescribeTable`; what may not be asked
   * beyond that is left out.
   *
   * @returns the findings, the worst first.
   */
  async checkTable(): Promise<Finding[]> {
    const { tableName: TableName, statusIndexName, completedEvents } = this.config
    const { Table: table } = await this.client
      .send(new DescribeTableCommand({ TableName }))
      .catch((error) => {
        if (!isNamed(error, "ResourceNotFoundException")) throw error
        return { Table: undefined }
      })
    if (!table) return [missingTable(TableName)]
    const [ttl, backups] = await Promise.all([
      this.client.send(new DescribeTimeToLiveCommand({ TableName })).catch(() => undefined),
      this.client.send(new DescribeContinuousBackupsCommand({ TableName })).catch(() => undefined),
    ])
    return judgeTable(
      { table, ttl: ttl?.TimeToLiveDescription, backups: backups?.ContinuousBackupsDescription },
      {
        tableName: TableName,
        statusIndexName,
        ttlAttribute: completedEvents.kind === "expire" ? completedEvents.attribute : undefined,
      },
    )
  }

  private async *pages({
    occurredAfter,
    occurredBefore,
    ...filter
  }: DeadLetterFilter): AsyncGenerator<Row[]> {
    assertFilter({ occurredAfter, occurredBefore, ...filter })
    const range = {
      from: occurredAfter?.getTime(),
      until: occurredBefore && occurredBefore.getTime() - 1,
    }
    let startAfter: Page["next"]
    do {
      const page = await this.requests.query(failedEvents(this.config, { limit: PAGE, startAfter }, range))
      yield page.rows
      startAfter = page.next
    } while (startAfter)
  }

  /** The items as they are: an index may lag, and need not carry more than its keys. */
  private async read(rows: readonly Row[]): Promise<FailedBusEvent[]> {
    const items = new Map<Row, Item>()
    const errors = await forEachBounded(rows, READS_AT_ONCE, async (row) => {
      const item = await this.requests.get(this.config.tableName, row.id)
      if (item?.status === EventStatus.FAILED && isEventItem(item)) items.set(row, item)
    })
    if (errors.length > 0) throw errors[0]
    return rows.flatMap((row) => {
      const item = items.get(row)
      return item ? [toFailedEvent(item)] : []
    })
  }

  private async *ids(selection: DeadLetterSelection): AsyncGenerator<string> {
    if (Array.isArray(selection)) {
      yield* new Set(selection as string[])
    } else if (needsWholeItem(selection as DeadLetterFilter)) {
      for await (const { id } of this.deadLetters(selection as DeadLetterFilter)) yield id
    } else {
      for await (const page of this.pages(selection as DeadLetterFilter)) yield* page.map(({ id }) => id)
    }
  }

  private async change(
    selection: DeadLetterSelection,
    options: WorkOptions,
    input: (id: string) => Parameters<OutboxOperator["write"]>[0],
  ): Promise<Progress> {
    if (Array.isArray(selection)) assertEventIds("The selection of dead letters", selection)
    else assertFilter(selection as DeadLetterFilter)
    return changeEach(this.ids(selection), options, (id) => this.write(input(id)))
  }

  private async write(
    input: ReturnType<typeof transitions.retry> | ReturnType<typeof transitions.purge>,
  ): Promise<boolean> {
    const outcome = await ("UpdateExpression" in input
      ? this.requests.write(input)
      : this.requests.delete(input))
    return typeof outcome === "object"
  }

  private async *scan(
    condition: string,
    values: Record<string, unknown>,
    attributes: string,
    onItem: (item: Item) => void = () => {},
  ): AsyncGenerator<string> {
    let next: Page["next"]
    do {
      const page = await this.requests.scan({
        TableName: this.config.tableName,
        FilterExpression: condition,
        ExpressionAttributeNames: { "#status": "status" },
        ExpressionAttributeValues: values,
        ProjectionExpression: attributes,
        ...(next && { ExclusiveStartKey: next }),
      })
      for (const item of page.rows) {
        onItem(item)
        yield item.id
      }
      next = page.next
    } while (next)
  }
}
