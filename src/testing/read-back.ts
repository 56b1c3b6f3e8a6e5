/** A stored value as it is when it has been to DynamoDB and back: a copy in which numbers, maps and sets are what is read. */
import { fromStored } from "../item/stored-value.ts"

/** @param value - What `toStored` makes, or an item of such values. */
export function readBack(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value
  // DynamoDB has no negative zero.
  if (typeof value === "number") return value + 0
  if (typeof value !== "object" || value === null) return value
  if (value instanceof Uint8Array) return value.slice()
  if (value instanceof Set) return new Set([...value].map(readBack))
  if (value instanceof Map) return copyEntries(value)
  if (Array.isArray(value)) return value.map(readBack)
  // A number in the document client's own wrapper.
  if ("toAttributeValue" in value && typeof value.toAttributeValue === "function")
    return fromStored(value, "value")
  return copyEntries(Object.entries(value))
}

function copyEntries(entries: Iterable<[unknown, unknown]>): Record<string, unknown> {
  return Object.fromEntries([...entries].map(([key, value]) => [key, readBack(value)]))
}
