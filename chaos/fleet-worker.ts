/**
 * A worker of the fleet, as a process: an outbox with handlers that take time, fail or crash as their events ask, and a
 * journal of all that happens. It is killed, frozen and misdated from outside.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import { OriginalOutbox } from "../e2e/original/original-outbox.ts"
import { clientFor, injectFaults } from "../packages/dynamodb-dev/src/index.ts"
import { DynamoDBAwsSdkOutbox } from "../src/index.ts"
import { createStreamHandler } from "../src/lambda.ts"
import { openJournal } from "./journal.ts"
import { journalWrites } from "./wire-journal.ts"
import {
  type ChaosPayload,
  type Invocation,
  type InvocationReply,
  SETTINGS_VARIABLE,
  type WorkerOrder,
  type WorkerSettings,
} from "./worker-settings.ts"

const POLL_INTERVAL_MS = 200
const LOOK_FOR_STALLS_EVERY_MS = 50
const STALL_MS = 250

const settings = JSON.parse(process.env[SETTINGS_VARIABLE] as string) as WorkerSettings
const write = openJournal(join(settings.folder, `${settings.name}.jsonl`))
const client = clientFor(settings.endpoint)
const wire = journalWrites(client, write)
wire.outside()
const faults = injectFaults(client, { seed: settings.seed, isOn: false, ...settings.faults })
wire.inside()

let runs = 0

async function handle(id: string, payload: ChaosPayload): Promise<void> {
  const run = runs++
  write({ what: "started", id, run })
  if (payload.isPoison) process.kill(process.pid, "SIGKILL")
  await delay(payload.takesMs)
  const isOk = !mustFail(id, payload.failures)
  write({ what: "ended", id, run, isOk })
  if (!isOk) throw new Error("asked to fail")
}

/** Runs of an event may be in many workers: the n-th to fail is the one that gets the n-th mark. */
function mustFail(id: string, failures: number): boolean {
  for (let n = 0; n < failures; n++) {
    try {
      writeFileSync(join(settings.folder, `${id}.failure-${n}`), "", { flag: "wx" })
      return true
    } catch {
      // This one is taken.
    }
  }
  return false
}

const { tableName, processingTimeoutMs, maxRetries, concurrency } = settings
const options = {
  tableName,
  processingTimeoutMs,
  maxRetries,
  pollIntervalMs: POLL_INTERVAL_MS,
  baseBackoffMs: 50,
}

function start(): () => Promise<void> {
  if (settings.version === "original") {
    const documents = DynamoDBDocumentClient.from(client)
    const outbox = new OriginalOutbox(documents, { ...options, version: "2.0.3" })
    // What it reports would be laid at the door of the new workers.
    outbox.start(
      ({ id, payload }) => handle(id, payload as ChaosPayload),
      () => {},
    )
    return () => outbox.stop()
  }
  const polling = !settings.isFunction
  const outbox = new DynamoDBAwsSdkOutbox({
    client,
    ...options,
    concurrency,
    maxErrorBackoffMs: 1000,
    polling,
    // Nothing is deleted so soon; the judge looks at what got the attribute.
    completedEvents: { expireAfterDays: 1 },
  })
  outbox.start(
    ({ id, payload }) => handle(id, payload as ChaosPayload),
    ({ name, message }) => write({ what: "reported", name, message }),
  )
  if (settings.isFunction) invoke = (invocation) => run(outbox, invocation)
  return () => outbox.stop()
}

/** The stream leaves this much time to its function before a sweeper takes an event. */
const SWEPT_AFTER_MS = 500

async function run(
  outbox: DynamoDBAwsSdkOutbox,
  { records, timeoutMs }: Invocation,
): Promise<InvocationReply> {
  const end = performance.now() + timeoutMs
  const context = { getRemainingTimeInMillis: () => end - performance.now() }
  try {
    if (records) return { response: await createStreamHandler(outbox)({ Records: records }, context) }
    await outbox.drain({ deadline: context.getRemainingTimeInMillis, dueForMs: SWEPT_AFTER_MS })
    return { response: undefined }
  } catch (error) {
    return { error: String(error) }
  }
}

let invoke: (invocation: Invocation) => Promise<InvocationReply> = async () => ({ error: "not a function" })
const stop = start()
write({ what: "ready" })
process.send?.("ready")

let looked = performance.now()
setInterval(() => {
  const ms = performance.now() - looked - LOOK_FOR_STALLS_EVERY_MS
  if (ms > STALL_MS) write({ what: "stalled", ms })
  looked = performance.now()
}, LOOK_FOR_STALLS_EVERY_MS)

let writtenAttempts = 0
const writeFaults = () => {
  const { counts } = faults
  if (counts.attempts !== writtenAttempts) write({ what: "faults", counts })
  writtenAttempts = counts.attempts
}
setInterval(writeFaults, 500)

process.on("message", async (message: WorkerOrder) => {
  if (message.order === "faults") {
    if (message.isOn) faults.on()
    else faults.off()
  }
  if (message.order === "invoke") process.send?.(await invoke(message))
  if (message.order === "stop") {
    const startedAt = performance.now()
    await stop()
    writeFaults()
    write({ what: "stopped", ms: performance.now() - startedAt })
    process.exit(0)
  }
})
