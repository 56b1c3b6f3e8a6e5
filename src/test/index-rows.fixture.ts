/** A status index in memory, for one partition: pages, ranges and both directions, and rows that stay although they are gone. */

import type { Page } from "../database/requests.ts"
import type { DuePageRequest, Row } from "../state/status-index.ts"

type Key = { id: string; gsiSortKey: number }

export class IndexRows {
  /** How often it was read. */
  reads = 0
  readonly requests: DuePageRequest[] = []
  private readonly rows = new Map<string, number>()

  constructor(keys: readonly Key[] = []) {
    for (const key of keys) this.put(key)
  }

  put({ id, gsiSortKey }: Key): void {
    this.rows.set(id, gsiSortKey)
  }

  delete(id: string): void {
    this.rows.delete(id)
  }

  get size(): number {
    return this.rows.size
  }

  /** Async, so that others come between as with a database. */
  readonly read = async (request: DuePageRequest): Promise<Page> => {
    this.reads++
    this.requests.push(request)
    const { limit, startAfter, from = Number.NEGATIVE_INFINITY, newestFirst } = request
    const sorted = [...this.rows]
      .map(([id, gsiSortKey]) => ({ id, gsiSortKey }))
      .filter(({ gsiSortKey }) => gsiSortKey >= from)
      .sort(order)
    if (newestFirst) sorted.reverse()
    const start = startAfter as Key | undefined
    const rest = start ? sorted.filter((row) => order(row, start) > 0) : sorted
    const rows: Row[] = rest.slice(0, limit)
    const last = rows.at(-1)
    // As DynamoDB does, a full page tells of a next one even where nothing follows.
    return rows.length === limit && last ? { rows, next: { ...last } } : { rows }
  }
}

function order(a: Key, b: Key): number {
  return a.gsiSortKey - b.gsiSortKey || (a.id < b.id ? -1 : Number(a.id > b.id))
}

/** `count` rows, one due each 10 ms from `first` on. */
export function rowsDue(count: number, first = 1000): Key[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `e${String(i).padStart(4, "0")}`,
    gsiSortKey: first + i * 10,
  }))
}
