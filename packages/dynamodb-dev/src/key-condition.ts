// Owns which rows a key condition of DynamoDB takes from rows in order: what an engine does, for a view of our own.

/** An attribute value as the SDK's low-level client has it. */
export type WireValue = { S?: string; N?: string; [type: string]: unknown }
export type WireItem = Record<string, WireValue>

/** As much of a query's input as decides which rows it gets. */
export interface WireQuery {
  TableName: string
  IndexName?: string
  KeyConditionExpression: string
  ExpressionAttributeNames?: Record<string, string>
  ExpressionAttributeValues: Record<string, WireValue>
  ScanIndexForward?: boolean
  Limit?: number
  ExclusiveStartKey?: WireItem
  ProjectionExpression?: string
}

/** A key condition taken apart. */
export interface KeyCondition {
  partitionKey: string
  partition: WireValue
  sortKey: string | undefined
  /** Whether a row's sort key is in the range. */
  holds(value: WireValue | undefined): boolean
}

const COMPARISONS: Record<string, (order: number) => boolean> = {
  "=": (order) => order === 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
}

/** Reads `partition = :value`, alone or with a comparison or BETWEEN on the sort key. Undefined for what it can't read. */
export function readKeyCondition(query: WireQuery): KeyCondition | undefined {
  const parts =
    /^\s*([#\w]+)\s*=\s*(:\w+)(?:\s+AND\s+([#\w]+)\s*(?:(<=|>=|=|<|>)\s*(:\w+)|BETWEEN\s+(:\w+)\s+AND\s+(:\w+)))?\s*$/i.exec(
      query.KeyConditionExpression,
    )
  if (!parts) return undefined
  const [, partitionName, partitionValue, sortName, comparison, bound, from, to] = parts
  const name = (placeholder: string) => query.ExpressionAttributeNames?.[placeholder] ?? placeholder
  const value = (placeholder: string) => query.ExpressionAttributeValues[placeholder] as WireValue
  const holds = (row: WireValue | undefined) => {
    if (sortName === undefined) return true
    if (row === undefined) return false
    if (comparison !== undefined && bound !== undefined) {
      return COMPARISONS[comparison]?.(compare(row, value(bound))) ?? false
    }
    return compare(row, value(from as string)) >= 0 && compare(row, value(to as string)) <= 0
  }
  return {
    partitionKey: name(partitionName as string),
    partition: value(partitionValue as string),
    sortKey: sortName === undefined ? undefined : name(sortName),
    holds,
  }
}

/** The page that the query gets of a partition's rows, which are given in ascending order. */
export function pageOf(
  rows: readonly WireItem[],
  query: WireQuery,
  condition: KeyCondition,
  keyNames: readonly string[],
): { Items: WireItem[]; Count: number; ScannedCount: number; LastEvaluatedKey?: WireItem } {
  const { sortKey } = condition
  const matching = rows.filter((row) => condition.holds(sortKey === undefined ? undefined : row[sortKey]))
  const ordered = query.ScanIndexForward === false ? matching.toReversed() : matching
  const rest = ordered.slice(startOf(ordered, query, sortKey))
  const page = query.Limit === undefined ? rest : rest.slice(0, query.Limit)
  const last = page.at(-1)
  const hasMore = page.length < rest.length && last !== undefined
  const Items = page.map((row) => projected(row, query))
  return {
    Items,
    Count: Items.length,
    ScannedCount: Items.length,
    ...(hasMore && { LastEvaluatedKey: only(last, keyNames) }),
  }
}

/** Where the page after `ExclusiveStartKey` begins; that row may be gone from this view. */
function startOf(ordered: readonly WireItem[], query: WireQuery, sortKey: string | undefined): number {
  const { ExclusiveStartKey: key } = query
  if (key === undefined) return 0
  const names = Object.keys(key)
  const at = ordered.findIndex((row) => names.every((name) => sameValue(row[name], key[name])))
  if (at >= 0) return at + 1
  if (sortKey === undefined) return ordered.length
  const direction = query.ScanIndexForward === false ? -1 : 1
  const after = ordered.findIndex(
    (row) => direction * compare(row[sortKey] as WireValue, key[sortKey] as WireValue) > 0,
  )
  return after < 0 ? ordered.length : after
}

function projected(row: WireItem, { ProjectionExpression, ExpressionAttributeNames }: WireQuery): WireItem {
  if (ProjectionExpression === undefined) return row
  const names = ProjectionExpression.split(",").map((name) => name.trim())
  return only(
    row,
    names.map((name) => ExpressionAttributeNames?.[name] ?? name),
  )
}

function only(row: WireItem, names: readonly string[]): WireItem {
  return Object.fromEntries(Object.entries(row).filter(([name]) => names.includes(name)))
}

function compare(a: WireValue, b: WireValue): number {
  if (a.N !== undefined && b.N !== undefined) return Number(a.N) - Number(b.N)
  return Buffer.compare(Buffer.from(String(a.S)), Buffer.from(String(b.S)))
}

function sameValue(a: WireValue | undefined, b: WireValue | undefined): boolean {
  return a !== undefined && b !== undefined && compare(a, b) === 0
}
