/** The commands: each asks the operator of the library, and shows what it says. Exit codes: see {@link EXIT}. */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import {
  type Backlog,
  type Count,
  createOutboxTable,
  type DeadLetterFilter,
  type DeadLetterSelection,
  type OutboxOperator,
  type TableOptions,
  type WorkOptions,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox/operations"
import type { FailedBusEvent } from "outbox-event-bus"
import { duration, oneLine, progressLine, type Terminal, table } from "./terminal.ts"

/** What scripts can go by. */
export const EXIT = {
  ok: 0,
  /** Something is wrong: with the table, or with a request. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** It was not confirmed. */
  refused: 3,
  /** Ctrl-C; what is done is done. */
  interrupted: 130,
} as const

export interface Context {
  terminal: Terminal
  operator: OutboxOperator
  client: DynamoDBClient
  tableName: string
  isJson: boolean
  isYes: boolean
}

function show({ terminal, isJson }: Context, data: unknown, text: () => string): void {
  terminal.print(isJson ? JSON.stringify(data, asJson, 2) : text())
}

/** BigInts and sets, which payloads may hold. */
function asJson(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value)
  return value instanceof Set ? [...value] : value
}

export async function createTable(context: Context, options: TableOptions): Promise<number> {
  await createOutboxTable(context.client, options)
  show(context, { created: options.tableName }, () => `Created table ${options.tableName}.`)
  return EXIT.ok
}

const MARKS = { error: "✗", warning: "!", info: "·" }

export async function doctor(context: Context): Promise<number> {
  const findings = await context.operator.checkTable()
  show(context, findings, () => {
    if (findings.length === 0) return `✓ Table ${context.tableName} is as it should be.`
    return findings
      .map(
        ({ severity, code, message, fix }) =>
          `${MARKS[severity]} ${code}: ${message}${fix ? `\n    fix: ${fix}` : ""}`,
      )
      .join("\n")
  })
  return findings.some(({ severity }) => severity === "error") ? EXIT.failed : EXIT.ok
}

const count = ({ count: number, isCapped }: Count) => `${number}${isCapped ? "+" : ""}`

function backlogTable(backlog: Backlog): string {
  return table(
    ["due", "due for", "occurred", "active", "overdue", "dead letters"],
    [
      [
        count(backlog.due),
        duration(backlog.dueForMs),
        backlog.occurredAgoMs === undefined ? "-" : `${duration(backlog.occurredAgoMs)} ago or more`,
        count(backlog.active),
        count(backlog.overdue),
        count(backlog.failed),
      ],
    ],
  )
}

export async function status(context: Context, watchMs: number | undefined): Promise<number> {
  const { terminal, operator } = context
  for (;;) {
    const backlog = await operator.getBacklog()
    if (watchMs !== undefined && !context.isJson) terminal.clear()
    show(
      context,
      backlog,
      () => `${watchMs === undefined ? "" : `${backlog.at.toISOString()}\n`}${backlogTable(backlog)}`,
    )
    if (watchMs === undefined) return EXIT.ok
    await pause(watchMs, terminal.signal)
    if (terminal.signal.aborted) return EXIT.ok
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener("abort", () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

export async function failed(context: Context, filter: DeadLetterFilter, limit: number): Promise<number> {
  const letters: Omit<FailedBusEvent, "payload" | "metadata">[] = []
  let isCut = false
  for await (const { payload: _, metadata: __, ...letter } of context.operator.deadLetters(filter)) {
    isCut = letters.length === limit
    if (isCut) break
    letters.push(letter)
  }
  show(context, letters, () =>
    letters.length === 0
      ? "There are no dead letters."
      : table(
          ["id", "type", "occurred", "attempts", "error"],
          letters.map(({ id, type, occurredAt, retryCount, error = "" }) => [
            oneLine(id, 40),
            type,
            occurredAt.toISOString(),
            retryCount,
            error,
          ]),
        ),
  )
  if (isCut) context.terminal.note(`There are more than ${limit}; --limit shows more, --group counts them.`)
  return EXIT.ok
}

export async function groups(context: Context, filter: DeadLetterFilter): Promise<number> {
  const found = await context.operator.countDeadLetters(filter)
  show(context, found, () =>
    found.length === 0
      ? "There are no dead letters."
      : table(
          ["count", "type", "kind of error", "oldest", "newest", "one of them"],
          found.map((group) => [
            group.count,
            group.type,
            group.errorKind,
            group.oldest.toISOString(),
            group.newest.toISOString(),
            oneLine(group.exampleId, 40),
          ]),
        ),
  )
  return EXIT.ok
}

export async function showEvent(context: Context, id: string, withPayload: boolean): Promise<number> {
  const item = await context.operator.find(id)
  if (!item) {
    context.terminal.note(`There is no event ${JSON.stringify(id)} in table ${context.tableName}.`)
    return EXIT.failed
  }
  const hidden = "(hidden; --payload shows it)"
  const shown = withPayload
    ? item
    : { ...item, payload: hidden, ...("metadata" in item && { metadata: hidden }) }
  show(context, shown, () =>
    Object.entries(shown)
      .map(
        ([name, value]) =>
          `${name}: ${oneLine(typeof value === "string" ? value : JSON.stringify(value, asJson), 10_000)}`,
      )
      .join("\n"),
  )
  return EXIT.ok
}

type Work = (options: WorkOptions) => Promise<Record<string, number>>

export function retry(
  context: Context,
  selection: DeadLetterSelection,
  perSecond: number | undefined,
): Promise<number> {
  return work(context, "retried", selection, (options) =>
    context.operator.retry(selection, { ...options, perSecond }),
  )
}

export function discard(
  context: Context,
  selection: DeadLetterSelection,
  reason: string,
  perSecond: number | undefined,
): Promise<number> {
  return work(context, "discarded", selection, (options) =>
    context.operator.discard(selection, { ...options, reason, perSecond }),
  )
}

export async function repair(context: Context): Promise<number> {
  return run(context, "repaired", undefined, (options) => context.operator.repair(options))
}

export async function purge(context: Context, completedBefore: Date): Promise<number> {
  const question = `Delete all events from ${context.tableName} that were completed before ${completedBefore.toISOString()}?`
  if (!(await isConfirmed(context, question))) return EXIT.refused
  return run(context, "purged", undefined, (options) => context.operator.purge(completedBefore, options))
}

/** Counts first, so that the question says how many, and the progress how long. */
async function work(
  context: Context,
  verb: string,
  selection: DeadLetterSelection,
  does: Work,
): Promise<number> {
  const total = Array.isArray(selection)
    ? selection.length
    : await countOf(context, selection as DeadLetterFilter)
  const question = `${total} dead letters of ${context.tableName} are to be ${verb}. Go on?`
  if (total > 0 && !(await isConfirmed(context, question))) return EXIT.refused
  return run(context, verb, total, does)
}

async function countOf({ operator }: Context, filter: DeadLetterFilter): Promise<number> {
  let total = 0
  for await (const _ of operator.deadLetters(filter)) total++
  return total
}

async function isConfirmed({ terminal, isYes }: Context, question: string): Promise<boolean> {
  if (isYes) return true
  if (terminal.isInteractive) return terminal.confirm(question)
  terminal.note(`${question} Nobody is there to answer: pass --yes.`)
  return false
}

async function run(context: Context, verb: string, total: number | undefined, does: Work): Promise<number> {
  const { terminal } = context
  const startedAt = performance.now()
  let isShown = false
  const result = await does({
    signal: terminal.signal,
    onProgress: (progress) => {
      isShown = true
      terminal.progress(progressLine(verb, progress, startedAt, total))
    },
  }).finally(() => {
    if (isShown) terminal.progress(undefined)
  })
  show(context, result, () =>
    Object.entries(result)
      .map(([name, number]) => `${name} ${number}`)
      .join(", "),
  )
  if (!terminal.signal.aborted) return EXIT.ok
  terminal.note("Interrupted. What was done stays done; the rest is as it was.")
  return EXIT.interrupted
}
