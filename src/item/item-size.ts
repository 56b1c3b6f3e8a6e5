/**
 * The size of an item as DynamoDB counts it, to refuse an event that is too large before anything is sent.
 */

/**
 * DynamoDB's limit is 400 KB. Two of them are kept free for what the relay writes on the item later: the claim,
 * the times and the last error.
 */
export const MAX_ITEM_BYTES = 398 * 1024

/** Bytes of a value of `@aws-sdk/lib-dynamodb`; for a whole item, pass the item. */
export function storedBytes(item: Record<string, unknown>): number {
  let bytes = 0
  for (const [name, value] of Object.entries(item)) bytes += Buffer.byteLength(name) + valueBytes(value)
  return bytes
}

const CONTAINER_BYTES = 3

function valueBytes(value: unknown): number {
  switch (typeof value) {
    case "string":
      return Buffer.byteLength(value)
    case "number":
    case "bigint":
      return numberBytes(String(value))
    case "object":
      return value === null ? 1 : objectBytes(value)
    default:
      return 1
  }
}

function objectBytes(value: object): number {
  if (value instanceof Uint8Array) return value.byteLength
  if (value instanceof Set) return CONTAINER_BYTES + sum(value)
  if (Array.isArray(value)) return CONTAINER_BYTES + value.length + sum(value)
  if (value instanceof Map) return objectBytes(Object.fromEntries(value))
  if ("toAttributeValue" in value) return numberBytes(String(value))
  return CONTAINER_BYTES + Object.keys(value).length + storedBytes(value as Record<string, unknown>)
}

/** About one byte for two significant digits, and one more. */
function numberBytes(text: string): number {
  return Math.ceil(text.length / 2) + 1
}

function sum(values: Iterable<unknown>): number {
  let bytes = 0
  for (const value of values) bytes += valueBytes(value)
  return bytes
}
