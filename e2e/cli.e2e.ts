/** The command line, on real tables: what it prints, what it changes, and what it says to scripts. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { CreateTableCommand } from "@aws-sdk/client-dynamodb"
import { beforeEach, expect, inject, onTestFinished, test, vi } from "vitest"
import { main } from "../packages/cli/src/program.ts"
import type { Terminal } from "../packages/cli/src/terminal.ts"
import { LOCAL_CREDENTIALS, LOCAL_REGION } from "../packages/dynamodb-dev/src/index.ts"
import { originalItem } from "./fixture/events.ts"
import { createTable, endpoint, newClient, type TestTable } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { startWorker } from "./fixture/worker.ts"

beforeEach(() => {
  if (inject("endpoint") === null) return
  vi.stubEnv("AWS_REGION", LOCAL_REGION)
  vi.stubEnv("AWS_ACCESS_KEY_ID", LOCAL_CREDENTIALS.accessKeyId)
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", LOCAL_CREDENTIALS.secretAccessKey)
  onTestFinished(() => void vi.unstubAllEnvs())
})

interface Ran {
  code: number
  out: string
  notes: string
  progress: string[]
  questions: string[]
}

/** Runs a command with a terminal that answers every question with `answer`; without, nobody is there. */
async function run(
  args: string[],
  { answer, signal = new AbortController().signal }: { answer?: boolean; signal?: AbortSignal } = {},
): Promise<Ran> {
  const ran: Ran = { code: -1, out: "", notes: "", progress: [], questions: [] }
  const terminal: Terminal = {
    print: (text) => {
      ran.out += `${text}\n`
    },
    note: (text) => {
      ran.notes += `${text}\n`
    },
    progress: (text) => {
      if (text !== undefined) ran.progress.push(text)
    },
    clear: () => {},
    isInteractive: answer !== undefined,
    confirm: async (question) => {
      ran.questions.push(question)
      return answer === true
    },
    signal,
  }
  ran.code = await main(args, terminal)
  return ran
}

const on = (table: { tableName: string }, ...args: string[]) => [
  "--endpoint",
  endpoint(),
  "--table",
  table.tableName,
  ...args,
]
const jsonOf = ({ out }: Ran) => JSON.parse(out)

async function putDeadLetters(table: TestTable, count: number): Promise<void> {
  const kinds = ["carrier responded 503", "no article", "card declined"]
  await Promise.all(
    Array.from({ length: count }, (_, i) => {
      const occurredAt = new Date(Date.parse("2026-01-01T00:00:00Z") + i * 60_000)
      return table.put({
        id: `dead-${i}`,
        type: "order.placed",
        payload: { card: "4111" },
        occurredAt: occurredAt.toISOString(),
        status: "failed",
        retryCount: 5,
        lastError: kinds[i % 3],
        gsiSortKey: occurredAt.getTime(),
      })
    }),
  )
}

test("create-table makes a table in which doctor finds no error", async () => {
  const table = { tableName: `cli-${Date.now()}` }
  const created = await run(on(table, "create-table"))
  expect(created).toMatchObject({ code: 0, out: `Created table ${table.tableName}.\n` })
  const checked = await run(on(table, "--json", "doctor"))
  expect(checked.code).toBe(0)
  expect(jsonOf(checked).filter(({ severity }: { severity: string }) => severity === "error")).toEqual([])
  const again = await run(on(table, "create-table", "--no-backups"))
  expect(again.code).toBe(1)
  expect(again.notes).toMatch(/^Error: .*(exist|in use)/i)
})

test("doctor names each fault of a broken table, and how to fix it", async () => {
  const table = { tableName: `broken-${Date.now()}` }
  await newClient().send(
    new CreateTableCommand({
      TableName: table.tableName,
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: [
        { AttributeName: "pk", AttributeType: "S" },
        { AttributeName: "status", AttributeType: "S" },
        { AttributeName: "gsiSortKey", AttributeType: "S" },
      ],
      KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
      GlobalSecondaryIndexes: [
        {
          IndexName: "status-gsiSortKey-index",
          KeySchema: [
            { AttributeName: "status", KeyType: "HASH" },
            { AttributeName: "gsiSortKey", KeyType: "RANGE" },
          ],
          Projection: { ProjectionType: "KEYS_ONLY" },
        },
      ],
    }),
  )
  const { code, out } = await run(on(table, "--expire-after-days", "7", "doctor"))
  expect(code).toBe(1)
  expect(out).toMatch(/✗ wrong-key: .*pk \(String\)/)
  expect(out).toMatch(/✗ wrong-index-key: .*gsiSortKey \(String\)/)
  expect(out).toMatch(/! ttl-missing: /)
  expect(out).toMatch(/! no-deletion-protection: /)
  expect(out.match(/fix: /g)?.length).toBeGreaterThanOrEqual(4)
  expect((await run(on({ tableName: "no-such-table" }, "doctor"))).out).toMatch(/✗ table-missing: /)
})

test("status shows the backlog, once or again and again until Ctrl-C", async () => {
  const table = await createTable()
  await table.put(originalItem({ id: "waiting" }))
  await putDeadLetters(table, 2)
  const once = await run(on(table, "--json", "status"))
  expect(jsonOf(once)).toMatchObject({ due: { count: 1, isCapped: false }, failed: { count: 2 } })
  expect((await run(on(table, "status"))).out).toContain("dead letters")

  const controller = new AbortController()
  const watching = run(on(table, "--json", "status", "--watch", "0.01"), { signal: controller.signal })
  setTimeout(() => controller.abort(), 100)
  const { code, out } = await watching
  expect(code).toBe(0)
  expect(out.match(/"isCapped"/g)?.length).toBeGreaterThan(8)
})

test("failed lists dead letters without payloads, filtered, limited or grouped", async () => {
  const table = await createTable({ projection: "KEYS_ONLY" })
  expect((await run(on(table, "failed"))).out).toBe("There are no dead letters.\n")
  await putDeadLetters(table, 12)
  const all = await run(on(table, "--json", "failed"))
  expect(jsonOf(all)).toHaveLength(12)
  expect(all.out).not.toContain("4111")
  const limited = await run(on(table, "failed", "--limit", "5"))
  expect(limited.notes).toContain("There are more than 5")
  const some = await run(
    on(table, "--json", "failed", "--error", "declined", "--after", "2026-01-01T00:05:00Z"),
  )
  expect(jsonOf(some).map(({ id }: { id: string }) => id)).toEqual(["dead-11", "dead-8", "dead-5"])
  const grouped = await run(on(table, "--json", "failed", "--group"))
  expect(
    jsonOf(grouped).map(({ count, errorKind }: { count: number; errorKind: string }) => [errorKind, count]),
  ).toEqual([
    ["card declined", 4],
    ["no article", 4],
    ["carrier responded <n>", 4],
  ])
  expect((await run(on(table, "failed", "--group"))).out).toContain("card declined")
})

test("show hides the payload unless it is asked for", async () => {
  const table = await createTable()
  await putDeadLetters(table, 1)
  const hidden = await run(on(table, "show", "dead-0"))
  expect(hidden.out).toContain("lastError: carrier responded 503")
  expect(hidden.out).not.toContain("4111")
  expect((await run(on(table, "--json", "show", "dead-0", "--payload"))).out).toContain('"card": "4111"')
  expect(await run(on(table, "show", "unknown"))).toMatchObject({
    code: 1,
    notes: expect.stringContaining('"unknown"'),
  })
})

test("retry asks, shows how far it is, and leaves the others; a worker then delivers them", async () => {
  const table = await createTable({ projection: "KEYS_ONLY" })
  await putDeadLetters(table, 30)
  const args = on(table, "retry", "--kind", "carrier responded <n>")
  expect(await run(args)).toMatchObject({ code: 3, notes: expect.stringContaining("10 dead letters") })
  expect(await run(args, { answer: false })).toMatchObject({
    code: 3,
    questions: [expect.stringContaining("10 dead letters")],
  })
  const done = await run(args, { answer: true })
  expect(done).toMatchObject({ code: 0, out: "retried 10, skipped 0\n" })
  expect(done.progress.at(-1)).toMatch(/^retried 10 of 10, skipped 0, \d+\/s, 0 s left$/)
  const worker = startWorker(table)
  await until("they are delivered", () => worker.deliveredIds.length === 10)
  expect(await run(on(table, "--json", "--yes", "retry", "dead-1", "dead-0"))).toMatchObject({ code: 0 })
})

test("discard wants a reason; without a selection, nothing is retried or discarded", async () => {
  const table = await createTable()
  await putDeadLetters(table, 3)
  for (const args of [
    ["discard", "--all"],
    ["discard", "--reason", "x"],
    ["retry"],
    ["retry", "dead-0", "--all"],
    ["retry", "--all", "--type", "order.placed"],
    ["retry", "--all", "--per-second", "0"],
    ["failed", "--after", "yesterday"],
    ["unknown"],
    ["--unknown"],
  ]) {
    const ran = await run(on(table, "--yes", ...args))
    expect(ran.code, args.join(" ")).toBe(2)
    expect(ran.notes).toMatch(/error: /)
  }
  expect((await table.all()).every(({ status }) => status === "failed")).toBe(true)
  const discarded = await run(on(table, "--yes", "discard", "--all", "--reason", "shop closed"))
  expect(discarded).toMatchObject({ code: 0, out: "discarded 3, skipped 0\n" })
  expect(await table.read("dead-0")).toMatchObject({ status: "completed", discardReason: "shop closed" })
})

test("Ctrl-C ends long work between two events", async () => {
  const table = await createTable()
  await putDeadLetters(table, 40)
  const controller = new AbortController()
  const working = run(on(table, "--yes", "retry", "--all", "--per-second", "50"), {
    signal: controller.signal,
  })
  await until("it has begun", async () => (await table.all()).some(({ status }) => status === "created"))
  controller.abort()
  const { code, notes } = await working
  expect(code).toBe(130)
  expect(notes).toContain("What was done stays done")
  const statuses = (await table.all()).map(({ status }) => status)
  expect(statuses.every((status) => status === "created" || status === "failed")).toBe(true)
  expect(statuses).toContain("failed")
})

test("repair and purge", async () => {
  const table = await createTable()
  const hidden = originalItem({ id: "hidden", status: "failed", retryCount: 5, lastError: "no" })
  delete hidden.gsiSortKey
  await table.put(hidden)
  await table.put(originalItem({ id: "old", status: "completed", completedOn: 1000 }))
  expect(await run(on(table, "repair"))).toMatchObject({ code: 0, out: "repaired 1, skipped 0\n" })
  expect(await run(on(table, "purge", "--older-than-days", "30"))).toMatchObject({ code: 3 })
  expect(await run(on(table, "--yes", "purge", "--older-than-days", "30"))).toMatchObject({
    out: "purged 1, skipped 0\n",
  })
  expect((await table.all()).map(({ id }) => id)).toEqual(["hidden"])
})

test("an unreachable database is an error, with its cause", async () => {
  const { code, notes } = await run(["--endpoint", "http://127.0.0.1:1", "--table", "outbox", "status"])
  expect(code).toBe(1)
  expect(notes).toMatch(/^Error: .*ECONNREFUSED/)
})

test("the binary prints help and its version, and ends with the exit code", async () => {
  const cli = fileURLToPath(new URL("../packages/cli/src/cli.ts", import.meta.url))
  const exec = (...args: string[]) =>
    new Promise<{ code: number; stdout: string }>((resolve) => {
      const child = execFile(process.execPath, ["--import", "tsx", cli, ...args], (_, stdout) =>
        resolve({ code: child.exitCode ?? -1, stdout }),
      )
    })
  const help = await exec("--help")
  expect(help.code).toBe(0)
  expect(help.stdout).toContain("Exit codes: 0 done")
  expect(await exec("--version")).toEqual({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  expect((await exec("no-such-command")).code).toBe(2)
})
