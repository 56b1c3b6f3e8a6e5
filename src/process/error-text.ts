/**
 * The text of whatever a handler threw, as it is stored with the event: never empty, and never longer than its place. A
 * handler may throw anything, also what can't even be looked at.
 */
import { inspect, types } from "node:util"

/** The item has little room left when the payload is large. */
const MAX_BYTES = 1500
const ELLIPSIS = "…"
/** Causes can be a circle. */
const MAX_CAUSES = 20

/** Messages that say that something failed, and nothing of what. */
const BARE =
  /^(all promises were rejected|(\W*\b(an?|the|to|unknown|unexpected|internal|general|fetch|network|connection|connect|http|request|response|socket|server|operation|call|error|exception|failure|failed|fail|aborted|terminated)\b\W*)+)$/i

/**
 * @returns the message as it is, cut to 1,500 bytes. Where there is none, or one as bare as `fetch failed`, what the innermost
 * cause says is told, too.
 */
export function errorText(thrown: unknown): string {
  return cut(attempt(() => textOf(thrown), "an error that can't be read"))
}

function textOf(thrown: unknown): string {
  const message = messageOf(thrown)
  if (message !== "" && !BARE.test(message)) return message
  const innermost = innermostText(thrown, 0)
  if (message === "") return innermost ?? nameOf(thrown)
  return innermost === undefined || innermost === message ? message : `${message}: ${innermost}`
}

/** What the errors behind this one say, from the inside out; its own code if there are none. */
function innermostText(thrown: unknown, depth: number): string | undefined {
  if (typeof thrown !== "object" || thrown === null || depth > MAX_CAUSES) return undefined
  const { cause, errors } = thrown as { cause?: unknown; errors?: unknown }
  const behind = cause === undefined || cause === null ? (Array.isArray(errors) ? errors : []) : [cause]
  const texts = behind.map((error) => attempt(() => innermostOf(error, depth + 1), undefined))
  const distinct = [...new Set(texts.filter((text) => text !== undefined))]
  return distinct.length > 0 ? distinct.join("; ") : codeOf(thrown)
}

function innermostOf(error: unknown, depth: number): string | undefined {
  const message = messageOf(error)
  const inner = innermostText(error, depth)
  const isDeeper = inner !== undefined && inner !== codeOf(error)
  return isDeeper ? inner : message || inner || nameOf(error)
}

function messageOf(thrown: unknown): string {
  if (typeof thrown !== "object" || thrown === null) {
    return typeof thrown === "function" ? inspect(thrown) : String(thrown).trim() && String(thrown)
  }
  const { message } = thrown as { message?: unknown }
  if (typeof message === "string") return message.trim() === "" ? "" : message
  if (types.isNativeError(thrown) || thrown instanceof Error) {
    return message === undefined ? "" : inspect(message, { breakLength: Number.POSITIVE_INFINITY })
  }
  const text =
    (thrown as { toString?: unknown }).toString === Object.prototype.toString ? "" : stringOf(thrown)
  return text.trim() === "" ? inspect(thrown, { depth: 2, breakLength: Number.POSITIVE_INFINITY }) : text
}

/** An object that was thrown need not have a `toString`. */
function stringOf(thrown: object): string {
  return attempt(() => String(thrown), "")
}

function codeOf(thrown: unknown): string | undefined {
  const { code } = thrown as { code?: unknown }
  return (typeof code === "string" && code !== "") || typeof code === "number" ? String(code) : undefined
}

function nameOf(thrown: unknown): string {
  if (typeof thrown !== "object" || thrown === null) return "an empty text was thrown"
  const { name } = thrown as { name?: unknown }
  return typeof name === "string" && name !== "" ? `${name} without a message` : "Error without a message"
}

function attempt<T>(read: () => T, otherwise: T): T {
  try {
    return read()
  } catch {
    return otherwise
  }
}

function cut(text: string): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= MAX_BYTES) return bytes.toString()
  const room = bytes.subarray(0, MAX_BYTES - Buffer.byteLength(ELLIPSIS))
  // As part of a stream, what follows a whole character is left out instead of replaced.
  return new TextDecoder().decode(room, { stream: true }) + ELLIPSIS
}
