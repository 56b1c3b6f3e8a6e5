/** The command line: commands, options and help. What the commands do is in `commands.ts`. */
import { createRequire } from "node:module"
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import {
  type DeadLetterFilter,
  OutboxOperator,
  type OutboxOperatorConfig,
} from "@outbox-event-bus/dynamodb-aws-sdk-outbox/operations"
import { Command, CommanderError, InvalidArgumentError, Option } from "commander"
import * as commands from "./commands.ts"
import { oneLine, type Terminal } from "./terminal.ts"

// As deep below the manifest in `dist` as it is here.
const { version } = createRequire(import.meta.url)("../package.json") as { version: string }

interface GlobalOptions {
  table: string
  index?: string
  endpoint?: string
  region?: string
  profile?: string
  expireAfterDays?: number
  ttlAttribute?: string
  deleteCompleted?: boolean
  json?: boolean
  yes?: boolean
}

interface FilterOptions {
  type?: string
  error?: string
  kind?: string
  after?: Date
  before?: Date
}

/**
 * Runs a command line.
 *
 * @param args - Without the names of Node and the script.
 * @returns the exit code.
 */
export async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  let code: number = commands.EXIT.ok
  const program = build(terminal, (exitCode) => {
    code = exitCode
  })
  try {
    await program.parseAsync([...args], { from: "user" })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? commands.EXIT.ok : commands.EXIT.usage
    terminal.note(`Error: ${textOf(error)}`)
    return commands.EXIT.failed
  }
}

/** With its causes, since the first message often only says what was tried. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const text = error.message || error.name
  return error.cause === undefined ? oneLine(text, 2000) : `${oneLine(text, 2000)}: ${textOf(error.cause)}`
}

function build(terminal: Terminal, end: (code: number) => void): Command {
  const program = new Command("dynamodb-outbox")
    .description(
      "Backlog, dead letters and the table of a DynamoDB outbox. Credentials and region are those of the AWS SDK.",
    )
    .version(version)
    .addOption(new Option("--table <name>", "the outbox table").env("OUTBOX_TABLE").default("outbox"))
    .option("--index <name>", "the status index (default: status-gsiSortKey-index)")
    .option("--endpoint <url>", "another endpoint, such as http://localhost:8000")
    .option("--region <region>", "the AWS region")
    .option("--profile <name>", "a profile of the AWS configuration files")
    .option("--expire-after-days <days>", "the outbox has completedEvents: { expireAfterDays }", aNumber)
    .option(
      "--ttl-attribute <name>",
      "the attribute of completedEvents and of the table's TTL (default: expiresAt)",
    )
    .option("--delete-completed", 'the outbox has completedEvents: "delete"')
    .option("--json", "print JSON")
    .option("-y, --yes", "don't ask before something is changed")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.note(text.trimEnd()),
    })
    .addHelpText(
      "after",
      "\nExit codes: 0 done, 1 failed or faulty, 2 wrong usage, 3 not confirmed, 130 interrupted.",
    )

  const run = async (command: Command, does: (context: commands.Context) => Promise<number>) => {
    const context = contextOf(command.optsWithGlobals<GlobalOptions>(), terminal)
    try {
      end(await does(context))
    } finally {
      context.client.destroy()
    }
  }

  program
    .command("create-table")
    .description("create the table, its index, TTL and backups")
    .addOption(
      new Option("--projection <kind>", "what the index carries")
        .choices(["KEYS_ONLY", "ALL"])
        .default("KEYS_ONLY"),
    )
    .addOption(
      new Option("--stream <view>", "give it a stream").choices([
        "NEW_IMAGE",
        "NEW_AND_OLD_IMAGES",
        "KEYS_ONLY",
      ]),
    )
    .option("--no-deletion-protection", "let it be deleted")
    .option("--no-backups", "without point-in-time recovery")
    .action((options, command) =>
      run(command, (context) => {
        const { index, ttlAttribute } = command.optsWithGlobals() as GlobalOptions
        return commands.createTable(context, {
          tableName: context.tableName,
          statusIndexName: index,
          projection: options.projection,
          stream: options.stream,
          ttlAttribute,
          deletionProtection: options.deletionProtection,
          pointInTimeRecovery: options.backups,
        })
      }),
    )
  program
    .command("doctor")
    .description(
      "check the table: keys, index, TTL, billing, stream, protection and backups; says how to fix each fault",
    )
    .action((_, command) => run(command, commands.doctor))
  program
    .command("status")
    .description("show the backlog: due, under way, overdue, dead letters")
    .option("-w, --watch [seconds]", "again and again, until Ctrl-C", aNumber)
    .action(({ watch }, command) =>
      run(command, (context) =>
        commands.status(context, watch === undefined ? undefined : (watch === true ? 2 : watch) * 1000),
      ),
    )
  withFilter(
    program.command("failed").description("list dead letters, the newest first, without their payloads"),
  )
    .option("-g, --group", "count them by type and kind of error")
    .option("-n, --limit <count>", "at most so many", aNumber, 100)
    .action(({ group, limit, ...filter }, command) =>
      run(command, (context) =>
        group
          ? commands.groups(context, filterOf(filter))
          : commands.failed(context, filterOf(filter), limit),
      ),
    )
  program
    .command("show <id>")
    .description("show one event, whatever its state")
    .option("--payload", "with payload and metadata")
    .action((id, { payload }, command) =>
      run(command, (context) => commands.showEvent(context, id, payload === true)),
    )
  withFilter(
    program
      .command("retry [ids...]")
      .description("set dead letters back: due now, with all attempts before them"),
  )
    .option("--all", "all of them")
    .option("--per-second <rate>", "at most so many a second", aNumber)
    .action((ids, { all, perSecond, ...filter }, command) =>
      run(command, (context) => commands.retry(context, selectionOf(command, ids, filter, all), perSecond)),
    )
  withFilter(program.command("discard [ids...]").description("give dead letters up, and say why"))
    .requiredOption("--reason <text>", "why; stored with each")
    .option("--all", "all of them")
    .option("--per-second <rate>", "at most so many a second", aNumber)
    .action((ids, { all, perSecond, reason, ...filter }, command) =>
      run(command, (context) =>
        commands.discard(context, selectionOf(command, ids, filter, all), reason, perSecond),
      ),
    )
  program
    .command("repair")
    .description(
      "make dead letters visible that the original adapter has removed from the index (scans the table)",
    )
    .action((_, command) => run(command, commands.repair))
  program
    .command("purge")
    .description("delete events that were completed long ago (scans the table)")
    .requiredOption("--older-than-days <days>", "completed before so many days", aNumber)
    .action(({ olderThanDays }, command) =>
      run(command, (context) => commands.purge(context, new Date(Date.now() - olderThanDays * 86_400_000))),
    )
  return program
}

function withFilter(command: Command): Command {
  return command
    .option("--type <type>", "of this type")
    .option("--error <text>", "whose error contains this text")
    .option("--kind <kind>", "of this kind of error, as --group shows it")
    .option("--after <time>", "that occurred at this time or later (ISO 8601)", aTime)
    .option("--before <time>", "that occurred before this time (ISO 8601)", aTime)
}

function filterOf({ type, error, kind, after, before }: FilterOptions): DeadLetterFilter {
  return {
    ...(type !== undefined && { type }),
    ...(error !== undefined && { error }),
    ...(kind !== undefined && { errorKind: kind }),
    ...(after && { occurredAfter: after }),
    ...(before && { occurredBefore: before }),
  }
}

/** Exactly one of ids, a filter and --all: a forgotten filter must not mean all. */
function selectionOf(command: Command, ids: string[], options: FilterOptions, all: boolean | undefined) {
  const filter = filterOf(options)
  const given = [ids.length > 0, Object.keys(filter).length > 0, all === true].filter(Boolean)
  if (given.length !== 1) command.error("error: give either ids, or a filter such as --type, or --all")
  return ids.length > 0 ? ids : filter
}

function aNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === "" || !(value > 0)) throw new InvalidArgumentError("It must be a number above 0.")
  return value
}

function aTime(text: string): Date {
  const time = new Date(text)
  if (Number.isNaN(time.getTime()))
    throw new InvalidArgumentError("It must be a time such as 2026-01-31T12:00:00Z.")
  return time
}

function contextOf(options: GlobalOptions, terminal: Terminal): commands.Context {
  const { table: tableName, index, endpoint, region, profile, json = false, yes = false } = options
  const client = new DynamoDBClient({
    ...(endpoint && { endpoint }),
    ...(region && { region }),
    ...(profile && { profile }),
  })
  const config: OutboxOperatorConfig = {
    client,
    tableName,
    statusIndexName: index,
    completedEvents: retentionOf(options),
  }
  return { terminal, client, operator: new OutboxOperator(config), tableName, isJson: json, isYes: yes }
}

function retentionOf({
  expireAfterDays,
  ttlAttribute,
  deleteCompleted,
}: GlobalOptions): OutboxOperatorConfig["completedEvents"] {
  if (deleteCompleted) return "delete"
  return expireAfterDays === undefined ? "keep" : { expireAfterDays, attribute: ttlAttribute }
}
