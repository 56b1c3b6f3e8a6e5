/** Which dead letters an operator means, and what kind of failure each shows. Pure. */
import { type FailedBusEvent, ValidationError } from "outbox-event-bus"
import { described } from "../process/shown.ts"

/** Which dead letters are meant: those that fit everything that is given. `{}` means all of them. */
export interface DeadLetterFilter {
  /** The event's type. */
  type?: string | undefined
  /** A part of the error's text, or an expression that fits it. */
  error?: string | RegExp | undefined
  /** The kind of the error, as {@link DeadLetterGroup} has it. */
  errorKind?: string | undefined
  /** Those that occurred at this time or later. */
  occurredAfter?: Date | undefined
  /** Those that occurred before this time. */
  occurredBefore?: Date | undefined
}

/** Dead letters of one type that failed in one way. */
export interface DeadLetterGroup {
  type: string
  /** The first line of the error's text, with ids, numbers and quoted values replaced, since they differ from event to event. */
  errorKind: string
  count: number
  /** When the first and the last of them occurred. */
  oldest: Date
  newest: Date
  /** One of them, to look at. */
  exampleId: string
}

const KEYS = new Set(["type", "error", "errorKind", "occurredAfter", "occurredBefore"])

/** @throws {ValidationError} that names what is not allowed. A filter that is misread could mean all of them. */
export function assertFilter(filter: DeadLetterFilter): void {
  if (typeof filter !== "object" || filter === null) refuse("filter", filter, "an object; {} for all")
  for (const key of Object.keys(filter)) {
    if (!KEYS.has(key))
      refuse(`filter.${key}`, Reflect.get(filter, key), `nothing; known are ${[...KEYS].join(", ")}`)
  }
  const { type, error, errorKind, occurredAfter, occurredBefore } = filter
  if (type !== undefined && typeof type !== "string") refuse("filter.type", type, "a string")
  if (error !== undefined && typeof error !== "string" && !(error instanceof RegExp)) {
    refuse("filter.error", error, "a string or a RegExp")
  }
  if (errorKind !== undefined && typeof errorKind !== "string")
    refuse("filter.errorKind", errorKind, "a string")
  for (const [name, date] of Object.entries({ occurredAfter, occurredBefore })) {
    const isDate = date instanceof Date && !Number.isNaN(date.getTime())
    if (date !== undefined && !isDate) refuse(`filter.${name}`, date, "a valid Date")
  }
}

function refuse(name: string, value: unknown, allowed: string): never {
  throw new ValidationError(`Invalid ${name}: ${described(value)}. Allowed: ${allowed}.`)
}

/** Whether a filter can be answered by the index alone, which has the time of the occurrence. */
export function needsWholeItem({ type, error, errorKind }: DeadLetterFilter): boolean {
  return type !== undefined || error !== undefined || errorKind !== undefined
}

/** The times are left to the index. */
export function fits(event: FailedBusEvent, { type, error, errorKind }: DeadLetterFilter): boolean {
  const text = event.error ?? ""
  if (type !== undefined && event.type !== type) return false
  if (errorKind !== undefined && errorKindOf(text) !== errorKind) return false
  if (typeof error === "string") return text.includes(error)
  return error === undefined || new RegExp(error.source, error.flags.replace(/[gy]/g, "")).test(text)
}

const LONGEST_KIND = 160

/**
 * What errors of the same kind have in common: the first line, with ids, numbers and quoted values replaced, since they differ from
 * event to event.
 */
export function errorKindOf(text: string): string {
  const [line = ""] = text.split("\n")
  const kind = line
    .replace(/[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/gi, "<id>")
    .replace(/"[^"]*"|'[^']*'/g, "<value>")
    .replace(/\b(?=[a-f]*\d)[\da-f]{8,}\b/gi, "<id>")
    .replace(/\d+(?:[.,:]\d+)*/g, "<n>")
  return kind.length > LONGEST_KIND ? `${kind.slice(0, LONGEST_KIND)}…` : kind
}

export function groupsOf(events: Iterable<FailedBusEvent>, known = new Map<string, DeadLetterGroup>()) {
  for (const { id, type, error = "", occurredAt } of events) {
    const errorKind = errorKindOf(error)
    const key = JSON.stringify([type, errorKind])
    const group = known.get(key)
    if (!group) {
      known.set(key, { type, errorKind, count: 1, oldest: occurredAt, newest: occurredAt, exampleId: id })
      continue
    }
    group.count++
    if (occurredAt < group.oldest) group.oldest = occurredAt
    if (occurredAt > group.newest) group.newest = occurredAt
  }
  return known
}
