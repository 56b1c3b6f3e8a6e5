/**
 * Functions as Lambda runs them: environments that are started when none is free, stand still between two invocations, are
 * cut off at random, and are given up at random. And an event source that invokes them with the records of the table's stream.
 */
import { setTimeout as delay } from "node:timers/promises"
import type { DynamoDBRecord } from "aws-lambda"
import type { TableStream } from "../packages/dynamodb-dev/src/index.ts"
import type { FleetWorker } from "./fleet.ts"
import type { Stage } from "./stage.ts"
import type { Invocation, InvocationReply } from "./worker-settings.ts"

/** Somewhat less than the lease. */
const TIMEOUT_MS = 2000
/** Lambda ends an invocation at its timeout; here a busy machine is left a moment to say that it has ended. */
const GRACE_MS = 500
const CUT_OFF = 0.12
const FROZEN_MIDWAY = 0.1
const GIVEN_UP = 0.25

export class Functions {
  private readonly idle: FleetWorker[] = []

  constructor(private readonly stage: Stage) {}

  /** @returns what it has come to; undefined where it was cut off. */
  async invoke(records?: DynamoDBRecord[]): Promise<InvocationReply | undefined> {
    const { fleet, chance } = this.stage
    const worker = await this.environment()
    const invocation: Invocation = { ...(records && { records }), timeoutMs: TIMEOUT_MS }
    fleet.thaw(worker)
    const running = fleet.invoke(worker, invocation)
    void this.trouble(worker, running)
    const late = delay(TIMEOUT_MS + GRACE_MS, "late" as const, { ref: false })
    const reply = await Promise.race([running, late])
    if (reply === "late" || (this.stage.goesOn && chance.happens(GIVEN_UP))) await fleet.kill(worker)
    if (!worker.process.hasEnded) {
      fleet.freeze(worker)
      this.idle.push(worker)
    }
    return reply === "late" ? undefined : reply
  }

  /** A warm one, or one that is started cold. */
  private async environment(): Promise<FleetWorker> {
    const warm = this.idle.shift()
    if (warm && !warm.process.hasEnded) return warm
    if (warm) return this.environment()
    return this.stage.fleet.start({ isFunction: true })
  }

  private async trouble(worker: FleetWorker, running: Promise<unknown>): Promise<void> {
    const { fleet, chance } = this.stage
    if (!this.stage.goesOn) return
    const isCutOff = chance.happens(CUT_OFF)
    const isFrozen = chance.happens(FROZEN_MIDWAY)
    const inMs = chance.between(0, TIMEOUT_MS / 2)
    if (!isCutOff && !isFrozen) return
    const hasEnded = await Promise.race([running.then(() => true), delay(inMs, false)])
    if (hasEnded) return
    if (isCutOff) await fleet.kill(worker)
    else fleet.freeze(worker)
  }
}

/** How often a batch is handed over, and how many records are in it at most. */
const BATCH = { attempts: 3, records: 20 }
const READ_EVERY_MS = 100

/** The event source mapping: one batch after the other, the rest of a failed one again, and given up in the end. */
export async function feed(stage: Stage, functions: Functions, stream: TableStream): Promise<void> {
  const records: DynamoDBRecord[] = []
  // Beside the invocations, since DynamoDB Local keeps no more than a thousand records.
  const reading = (async () => {
    while (stage.goesOn) {
      records.push(...(await stream.next()).filter(({ eventName }) => eventName === "INSERT"))
      await delay(READ_EVERY_MS)
    }
  })()
  while (stage.goesOn) {
    const batch = records.splice(0, BATCH.records)
    if (batch.length > 0) await deliver(functions, batch)
    else await delay(READ_EVERY_MS)
  }
  await reading
  stream.close()
}

async function deliver(functions: Functions, records: DynamoDBRecord[]): Promise<void> {
  let left = records
  for (let attempt = 0; attempt < BATCH.attempts && left.length > 0; attempt++) {
    left = await failedOf(left, functions.invoke(left))
  }
}

async function failedOf(
  records: DynamoDBRecord[],
  running: Promise<InvocationReply | undefined>,
): Promise<DynamoDBRecord[]> {
  const reply = await running
  if (reply === undefined || "error" in reply) return records
  const first = reply.response?.batchItemFailures[0]?.itemIdentifier
  if (first === undefined) return []
  return records.slice(records.findIndex(({ dynamodb }) => dynamodb?.SequenceNumber === first))
}
