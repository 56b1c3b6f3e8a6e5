/**
 * What a payload becomes in DynamoDB and what it is when it comes back: JavaScript values ⇄ values that any
 * document client can marshal, whatever its options. Refuses what DynamoDB can't hold, naming the path.
 */
import { types } from "node:util"
import { described, member } from "../process/shown.ts"

/** A value that DynamoDB can't hold, or that JavaScript can't; `message` says which, where and why. */
export class UnstorableValueError extends Error {
  override readonly name = "UnstorableValueError"

  constructor(
    readonly path: string,
    reason: string,
    options?: ErrorOptions,
  ) {
    super(`${path} ${reason}`, options)
  }
}

/** DynamoDB's limit of nested lists and maps. */
const MAX_DEPTH = 31
const MAX_SIGNIFICANT_DIGITS = 38
const MIN_MAGNITUDE = 1e-130

/**
 * Converts a value to what DynamoDB stores of it: `Date` → ISO string, `toJSON` is honoured, class instances and
 * `Map` → plain maps; `undefined`, functions and symbols are dropped. `BigInt`, binary and sets stay. The result shares
 * nothing mutable with the input.
 *
 * @param path - Where the value stands, for error messages, e.g. `payload`.
 * @throws {UnstorableValueError} for what DynamoDB can't hold.
 */
export function toStored(value: unknown, path: string): unknown {
  return convert(value, path, [])
}

/**
 * Reads a value out of the caller's objects. Their getters, `toJSON` methods and proxies may throw anything, which is then
 * the `cause`; its text is not ours to put into a message.
 * @throws {UnstorableValueError} with the path of what could not be read.
 */
export function readAt<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof UnstorableValueError) throw cause
    throw new UnstorableValueError(path, "can't be read: its getter, toJSON or proxy threw an error", {
      cause,
    })
  }
}

function convert(value: unknown, path: string, parents: readonly object[]): unknown {
  switch (typeof value) {
    case "undefined":
    case "boolean":
      return value
    case "string":
      if (!isWellFormed(value)) refuse(path, "is not well-formed Unicode: it holds half of a surrogate pair")
      return value
    case "number":
      return storableNumber(value, path)
    case "bigint":
      return storableBigInt(value, path)
    case "object":
      return value === null ? null : readAt(path, () => convertObject(value, path, parents))
    default:
      // Functions and symbols, as for JSON.
      return undefined
  }
}

function convertObject(value: object, path: string, parents: readonly object[]): unknown {
  if (types.isDate(value)) return isoString(value, path)
  if (ArrayBuffer.isView(value)) return copyBytes(value.buffer, value.byteOffset, value.byteLength)
  if (types.isAnyArrayBuffer(value)) return copyBytes(value, 0, value.byteLength)
  if (types.isBoxedPrimitive(value)) return convert(value.valueOf(), path, parents)
  if (isNumberValue(value)) return exactNumber(value, path)
  if (types.isPromise(value)) refuse(path, "is a Promise; await it before publishing")
  if (value instanceof Blob) refuse(path, "is a Blob; store its bytes as a Uint8Array")
  if (parents.includes(value)) refuse(path, "refers back to an object that contains it")
  if (parents.length >= MAX_DEPTH) refuse(path, `is nested deeper than DynamoDB's ${MAX_DEPTH} levels`)

  const within = [...parents, value]
  if (types.isSet(value)) return convertSet(value, path, within)
  if (types.isMap(value)) return convertEntries(value.entries(), path, within)
  if (hasToJson(value)) {
    const json = value.toJSON()
    // As in JSON, toJSON is called once: what it returns is taken as it is, be it the object itself.
    return isPlainJson(json) ? convertMembers(json, path, [...parents, json]) : convert(json, path, within)
  }
  return convertMembers(value, path, within)
}

/** Whether a result of `toJSON` is an object or array without a conversion of its own here. */
function isPlainJson(json: unknown): json is object {
  return typeof json === "object" && json !== null && hasToJson(json) && !types.isDate(json)
}

function convertMembers(value: object, path: string, within: readonly object[]): unknown {
  if (Array.isArray(value)) {
    const elements = value.map((element, i) => convert(element, `${path}[${i}]`, within))
    return elements.filter((element) => element !== undefined)
  }
  return convertEntries(membersOf(value, path), path, within)
}

function* membersOf(value: object, path: string): Iterable<[string, unknown]> {
  for (const key of Object.keys(value)) {
    yield [key, readAt(member(path, key), () => (value as Record<string, unknown>)[key])]
  }
}

function convertEntries(entries: Iterable<[unknown, unknown]>, path: string, within: readonly object[]) {
  const result: Record<string, unknown> = {}
  for (const [key, value] of entries) {
    if (typeof key !== "string")
      refuse(path, `is a Map with a key that is a ${typeof key}; DynamoDB's keys are strings`)
    if (key === "") refuse(path, "has an empty key")
    if (!isWellFormed(key)) refuse(path, "has a key that is not well-formed Unicode")
    if (key === "__proto__") refuse(path, 'has the key "__proto__", which the AWS SDK drops')
    const stored = convert(value, member(path, key), within)
    if (stored !== undefined) result[key] = stored
  }
  // The SDK tells plain objects by their constructor; it takes those for instances of a class.
  return Object.hasOwn(result, "constructor") ? new Map(Object.entries(result)) : result
}

function convertSet(set: Set<unknown>, path: string, within: readonly object[]): Set<unknown> {
  const stored = [...set]
    .map((element) => convert(element, `${path}[in set]`, within))
    .filter((e) => e !== undefined)
  if (stored.length === 0) refuse(path, "is an empty set, which DynamoDB can't hold")
  const kinds = new Set(stored.map(kindInSet))
  if (kinds.size > 1 || kinds.has("other")) {
    refuse(path, "is a set of something else than only strings, only numbers or only binary values")
  }
  // What differs for JavaScript can be equal for DynamoDB, which refuses duplicates: 1 and 1n, or equal bytes.
  const distinct = [...new Map(stored.map((element) => [String(element), element])).values()]
  // The SDK takes the kind of all from the first one, and a set of BigInts for one of any numbers.
  return new Set(distinct.sort((a, b) => Number(typeof b === "bigint") - Number(typeof a === "bigint")))
}

function kindInSet(value: unknown): "string" | "number" | "binary" | "other" {
  if (typeof value === "string") return "string"
  if (typeof value === "number" || typeof value === "bigint" || isNumberValue(value)) return "number"
  return value instanceof Uint8Array ? "binary" : "other"
}

/** A number wrapped by the SDK, which can be longer than any that JavaScript holds: refused if it would come back changed. */
function exactNumber(number: { value: string }, path: string): unknown {
  const read = readNumber(number.value)
  if (isUnreadable(read) || decimal(String(read)) !== decimal(number.value)) {
    refuse(path, `is ${described(number.value).slice(1, -1)}, which JavaScript could not read back exactly`)
  }
  return number
}

/** A decimal number's digits and exponent, the same for all ways to write it. */
function decimal(text: string): string {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] =
    /^([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(text) ?? []
  const digits = `${whole}${fraction}`.replace(/^0+/, "")
  const significant = digits.replace(/0+$/, "")
  if (significant === "") return "0"
  const shift = Number(exponent) - fraction.length + (digits.length - significant.length)
  return `${sign === "-" ? "-" : ""}${significant}e${shift}`
}

function storableNumber(value: number, path: string): number {
  if (!Number.isFinite(value)) refuse(path, `is ${value}; DynamoDB holds only finite numbers`)
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    refuse(path, `is ${value}, beyond what a number holds exactly; use a BigInt or a string`)
  }
  if (value !== 0 && Math.abs(value) < MIN_MAGNITUDE)
    refuse(path, `is ${value}, closer to 0 than DynamoDB holds`)
  return value
}

function storableBigInt(value: bigint, path: string): bigint {
  const digits = value.toString().replace("-", "")
  if (digits.replace(/0+$/, "").length > MAX_SIGNIFICANT_DIGITS || digits.length > 126) {
    refuse(
      path,
      `is a BigInt of ${digits.length} digits; DynamoDB holds ${MAX_SIGNIFICANT_DIGITS} significant ones`,
    )
  }
  return value
}

function isoString(date: Date, path: string): string {
  if (Number.isNaN(date.getTime())) refuse(path, "is an invalid Date")
  return date.toISOString()
}

function copyBytes(buffer: ArrayBufferLike, offset: number, length: number): Uint8Array {
  return new Uint8Array(buffer, offset, length).slice()
}

/** `String.prototype.isWellFormed` exists in Node 20, but not yet in the library TypeScript compiles for. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed()
}

function hasToJson(value: object): value is { toJSON(): unknown } {
  return "toJSON" in value && typeof value.toJSON === "function"
}

function refuse(path: string, reason: string): never {
  throw new UnstorableValueError(path, reason)
}

/**
 * Converts what the document client read (with `wrapNumbers`) back to plain JavaScript: numbers become `number`, or
 * `BigInt` where a number is not exact. Plain numbers are taken as they are, so mocked clients need not wrap them.
 *
 * @throws {UnstorableValueError} for a number JavaScript can't hold.
 */
export function fromStored(value: unknown, path: string): unknown {
  return restore(value, (text) => {
    const number = readNumber(text)
    if (isUnreadable(number)) refuse(path, `holds the number ${text}, which JavaScript can't hold`)
    return number
  })
}

/** Like {@link fromStored}, but shows a number that JavaScript can't hold as its text: for people to look at. */
export function fromStoredLeniently(value: unknown): unknown {
  return restore(value, (text) => {
    const number = readNumber(text)
    return isUnreadable(number) ? text : number
  })
}

/** Reads a number such as a time; `undefined` where there is none, or none that could be written back. */
export function numberOf(value: unknown): number | undefined {
  const number = fromStoredLeniently(value)
  return typeof number === "number" && Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : undefined
}

/** Works in place, since what was read a moment ago is nobody else's and payloads can be large. */
function restore(value: unknown, number: (text: string) => unknown): unknown {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value
  if (isNumberValue(value)) return number(value.value)
  if (types.isSet(value)) return new Set([...value].map((element) => restore(element, number)))
  for (const [key, element] of Object.entries(value)) {
    const restored = restore(element, number)
    if (restored !== element) (value as Record<string, unknown>)[key] = restored
  }
  return value
}

const UNREADABLE = Symbol("a number that JavaScript can't hold")

function isUnreadable(value: unknown): value is typeof UNREADABLE {
  return value === UNREADABLE
}

function readNumber(text: string): number | bigint | typeof UNREADABLE {
  const number = Number(text)
  if (Math.abs(number) <= Number.MAX_SAFE_INTEGER) return number
  return /^-?\d+$/.test(text) ? BigInt(text) : UNREADABLE
}

/**
 * lib-dynamodb's `NumberValue`, recognised by its shape: the class is exported by recent versions only, and there
 * may be several copies of it.
 */
function isNumberValue(value: unknown): value is { value: string } {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as { value?: unknown }).value === "string" &&
    typeof (value as { toAttributeValue?: unknown }).toAttributeValue === "function"
  )
}
