// Owns the transcript of docs/operations.md: runs the commands on DynamoDB Local and writes what they print.
//
//   npm run docs:transcript
import { readFile, writeFile } from "node:fs/promises"
import { setTimeout as delay } from "node:timers/promises"
import { CreateTableCommand } from "@aws-sdk/client-dynamodb"
import { BatchWriteCommand, DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import { clientFor, LOCAL_CREDENTIALS, LOCAL_REGION, startDynamoDB } from "@outbox-event-bus/dynamodb-dev"
import { main } from "../packages/cli/src/program.ts"
import type { Terminal } from "../packages/cli/src/terminal.ts"
import { DynamoDBAwsSdkOutbox } from "../src/index.ts"

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"
process.env.AWS_REGION = LOCAL_REGION
process.env.AWS_ACCESS_KEY_ID = LOCAL_CREDENTIALS.accessKeyId
process.env.AWS_SECRET_ACCESS_KEY = LOCAL_CREDENTIALS.secretAccessKey

const PAGE = new URL("../docs/operations.md", import.meta.url)
const LONGEST_LINE = 150

const database = await startDynamoDB({ engine: "dynamodb-local" })
const client = clientFor(database.endpoint)
const documents = DynamoDBDocumentClient.from(client)

/** Runs a command line, answers its question with yes, and returns it with all that it showed: of the progress, every third line. */
async function shown(args: string[], signal = new AbortController().signal): Promise<string> {
  const lines = [
    `$ dynamodb-outbox ${args.map((arg) => (/^[\w.:/-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(" ")}`,
  ]
  const progress: string[] = []
  const terminal: Terminal = {
    print: (text) => void lines.push(...text.split("\n")),
    note: (text) => void lines.push(...text.split("\n")),
    progress: (text) => void (text !== undefined && progress.push(text)),
    clear: () => {},
    isInteractive: true,
    confirm: async (question) => {
      lines.push(`? ${question} (y/N) y`)
      return true
    },
    signal,
  }
  const code = await main(["--endpoint", database.endpoint, ...args], terminal)
  if (progress.length > 0) {
    const third = Math.ceil(progress.length / 3)
    const some = progress.filter((_, i) => (i + 1) % third === 0 || i === progress.length - 1)
    lines.splice(-1, 0, ...some)
  }
  if (code !== 0) lines.push(`(exit code ${code})`)
  return lines
    .map((line) => (line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE)}…` : line))
    .join("\n")
}

async function putAll(items: Record<string, unknown>[]): Promise<void> {
  for (let i = 0; i < items.length; i += 25) {
    const requests = items.slice(i, i + 25).map((Item) => ({ PutRequest: { Item } }))
    await documents.send(new BatchWriteCommand({ RequestItems: { outbox: requests } }))
  }
}

const MINUTE_MS = 60_000
const ERRORS = [
  (i: number) => `carrier responded 503 for parcel ${i}`,
  (i: number) => `no article "A-${i}"`,
  (i: number) => `card ending in ${1000 + i} was declined`,
]

function deadLetter(i: number) {
  const occurredAt = new Date(Date.parse("2026-01-01T00:00:00Z") + i * MINUTE_MS)
  const type = i % 3 === 2 ? "order.paid" : "order.placed"
  const lastError = ERRORS[i % 3]?.(i)
  const state = { status: "failed", retryCount: 5, startedOn: occurredAt.getTime(), lastError }
  return {
    id: `e-${i}`,
    type,
    payload: { i },
    occurredAt: occurredAt.toISOString(),
    gsiSortKey: occurredAt.getTime(),
    ...state,
  }
}

async function table(): Promise<string> {
  return `${await shown(["create-table"])}\n\n${await shown(["doctor"])}`
}

async function doctor(): Promise<string> {
  await client.send(
    new CreateTableCommand({
      TableName: "orders",
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
  return shown(["--table", "orders", "--expire-after-days", "30", "doctor"])
}

async function status(): Promise<string> {
  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: "outbox", concurrency: 20 })
  const event = (i: number) => ({ id: `b-${i}`, type: "order.placed", payload: {}, occurredAt: new Date() })
  for (let i = 0; i < 600; i += 100) await outbox.publish(Array.from({ length: 100 }, (_, j) => event(i + j)))
  const controller = new AbortController()
  const watching = shown(["status", "--watch", "1"], controller.signal)
  await delay(1500)
  outbox.start(
    () => delay(60),
    () => {},
  )
  await delay(3200)
  controller.abort()
  const text = await watching
  await outbox.stop()
  return text
}

async function deadLetters(): Promise<string> {
  await putAll(Array.from({ length: 1000 }, (_, i) => deadLetter(i)))
  const kind = ["--type", "order.placed", "--kind", "carrier responded <n> for parcel <n>"]
  return [
    await shown(["failed", "--group"]),
    await shown(["failed", "--type", "order.paid", "--limit", "3"]),
    await shown(["retry", ...kind]),
    await shown(["discard", "--type", "order.paid", "--reason", "customers were called"]),
    await shown(["failed", "--group"]),
  ].join("\n\n")
}

async function repair(): Promise<string> {
  const hidden = Array.from({ length: 7 }, (_, i) => {
    const item: Record<string, unknown> = deadLetter(5000 + i)
    // The original leaves none.
    delete item.gsiSortKey
    return item
  })
  await putAll(hidden)
  return `${await shown(["repair"])}\n\n${await shown(["failed", "--after", "2026-01-04T00:00:00Z", "--limit", "2"])}`
}

const BLOCKS = { table, doctor, status, "dead letters": deadLetters, repair }

try {
  let page = await readFile(PAGE, "utf8")
  for (const [name, run] of Object.entries(BLOCKS)) {
    const begin = `<!-- transcript: ${name} -->`
    const end = `<!-- end of ${name} -->`
    const [from, to] = [page.indexOf(begin), page.indexOf(end)]
    if (from < 0 || to < from) throw new Error(`docs/operations.md has no block "${begin}" … "${end}".`)
    const text = (await run()).replaceAll(database.endpoint, "http://localhost:8000")
    page = `${page.slice(0, from + begin.length)}\n\n\`\`\`text\n${text}\n\`\`\`\n\n${page.slice(to)}`
  }
  await writeFile(PAGE, page)
} finally {
  client.destroy()
  await database.stop()
}
