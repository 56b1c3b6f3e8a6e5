/** How much is waiting, how old it is, and what is stuck: cheap figures, from the index. */
import type { QueryCommandInput } from "@aws-sdk/lib-dynamodb"
import type { Requests } from "../database/requests.ts"
import { numberOf } from "../item/stored-value.ts"
import {
  activeEvents,
  type CountRequest,
  counted,
  dueEvents,
  failedEvents,
  type Row,
  type StatusIndex,
  stuckEvents,
} from "../state/status-index.ts"

/** A number of events, counted up to a limit. */
export interface Count {
  count: number
  /** There are more than that: counting has ended at the limit. */
  isCapped: boolean
}

/** What waits, what is under way, and what is stuck. */
export interface Backlog {
  /** When it was asked, by this machine's clock. */
  at: Date
  /** Events that wait and are due. */
  due: Count
  /** Events that a worker holds. */
  active: Count
  /** Of these, those whose lease has expired: their worker has died or is late. */
  overdue: Count
  /** Dead letters. */
  failed: Count
  /** For how long the event that is due longest has been due, in milliseconds; undefined if nothing is due. It starts anew with each retry. */
  dueForMs?: number
  /**
   * How long ago the oldest of the first due events occurred, in milliseconds: a lower bound, since only ten are looked at. Retries
   * don't change it.
   */
  occurredAgoMs?: number
}

/** Rows that are looked at for the age by occurrence. */
const LOOKED_AT = 10

/**
 * Costs a query for each of the four counts, which reads up to `countUpTo` rows of 0.1 to 0.2 KB (half a read unit per 4 KB), and up
 * to eleven small reads for the ages.
 */
export async function readBacklog(
  requests: Requests,
  index: StatusIndex,
  countUpTo: number,
): Promise<Backlog> {
  const at = Date.now()
  const page = { limit: countUpTo }
  const [due, active, overdue, failed, first] = await Promise.all([
    countRows(requests, dueEvents(index, at, page), countUpTo),
    countRows(requests, activeEvents(index, page), countUpTo),
    countRows(requests, stuckEvents(index, at, page), countUpTo),
    countRows(requests, failedEvents(index, page), countUpTo),
    requests.query(dueEvents(index, at, { limit: LOOKED_AT })),
  ])
  return {
    at: new Date(at),
    due,
    active,
    overdue,
    failed,
    ...(await agesOf(requests, index, first.rows, at)),
  }
}

async function countRows(requests: Requests, input: QueryCommandInput, upTo: number): Promise<Count> {
  let count = 0
  let request: CountRequest | undefined = counted(input, upTo)
  while (request && count < upTo) {
    const { count: inPage, next } = await requests.count(request)
    count += inPage
    request = next && { ...request, ExclusiveStartKey: next, Limit: upTo - count }
  }
  return { count, isCapped: request !== undefined }
}

async function agesOf(requests: Requests, { tableName }: StatusIndex, rows: Row[], at: number) {
  const dueAt = numberOf(rows[0]?.gsiSortKey)
  if (dueAt === undefined) return {}
  const items = await Promise.all(rows.map(({ id }) => requests.get(tableName, id, ["occurredAt"])))
  const times = items
    .map((item) => Date.parse(String(item?.occurredAt)))
    .filter((time) => !Number.isNaN(time))
  return { dueForMs: at - dueAt, ...(times.length > 0 && { occurredAgoMs: at - Math.min(...times) }) }
}
