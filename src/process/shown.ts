/**
 * How ids, keys and values appear in messages: on one line whatever they hold, so that nobody can forge a line of a log,
 * and without what is inside of objects, which may be confidential.
 */
import { types } from "node:util"

const LONGEST = 100

/** What is not visible text: control and format characters, halves of surrogate pairs, line and paragraph separators. */
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}]/u
const EACH_INVISIBLE = new RegExp(INVISIBLE, "gu")

/** In double quotes, escaped as in JSON, and whatever is invisible escaped, too. */
export function quoted(text: string): string {
  return JSON.stringify(text).replace(EACH_INVISIBLE, (character) => {
    const code = character.codePointAt(0)?.toString(16) ?? ""
    return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`
  })
}

/** A list of ids: as they are, but quoted where one holds what is invisible. */
export function listed(ids: readonly unknown[]): string {
  return ids.map((id) => (typeof id === "string" && !INVISIBLE.test(id) ? id : described(id))).join(", ")
}

/** The place of `key` within `path`, such as `payload.lines` or `payload["first line"]`. */
export function member(path: string, key: string): string {
  return /^[\p{L}\p{N}_$-]+$/u.test(key) ? `${path}.${key}` : `${path}[${described(key)}]`
}

/** Like {@link described}, with strings in single quotes, as errors about events and items have them. */
export function shown(value: unknown): string {
  if (typeof value !== "string") return described(value)
  return `'${described(value).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
}

/** A value in short: a string in quotes, cut where it is long; of an object, only what kind it is. */
export function described(value: unknown): string {
  switch (typeof value) {
    case "string":
      return quoted(value.length > LONGEST ? `${value.slice(0, LONGEST)}...` : value)
    case "symbol":
      return quoted(String(value)).slice(1, -1)
    case "function":
      return "a function"
    case "object":
      return value === null ? "null" : kindOf(value)
    default:
      return String(value)
  }
}

function kindOf(value: object): string {
  if (types.isDate(value)) {
    return Number.isNaN(Date.prototype.getTime.call(value)) ? "an invalid Date" : "a Date"
  }
  return "an object"
}
