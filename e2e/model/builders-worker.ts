/** The smallest worker: it sends what the pure builders of `src/state/transitions.ts` make, and nothing else. */
import { randomUUID } from "node:crypto"
import {
  GetCommand,
  TransactWriteCommand,
  UpdateCommand,
  type UpdateCommandInput,
} from "@aws-sdk/lib-dynamodb"
import { type Item, readActiveItem, readItem, toFailedEvent, toItem } from "../../src/item/event-item.ts"
import { fromStored, numberOf } from "../../src/item/stored-value.ts"
import { failedAttempt, PROCESSING_TIMEOUT, unreadableAttempt } from "../../src/state/attempt.ts"
import type { FailedAttempt, Lease } from "../../src/state/transitions.ts"
import * as transitions from "../../src/state/transitions.ts"
import { BASE_BACKOFF_MS, LEASE_MS, MAX_RETRIES } from "./circumstances.ts"
import type { Place, SystemWorker } from "./system.ts"
import type { Wire } from "./wire.ts"

type Written = { item: Item | undefined } | "refused" | "error"
interface Held {
  lease: Lease
  retryCount: number
  occurredAt: Date
}

export function buildersWorker(wire: Wire, { tableName }: Place): SystemWorker {
  const { client, cut } = wire.connect()
  const holds = new Map<string, Held>()
  const reports: string[] = []

  const write = async (input: UpdateCommandInput): Promise<Written> => {
    try {
      return { item: (await client.send(new UpdateCommand(input))).Attributes }
    } catch (error) {
      return (error as Error).name === "ConditionalCheckFailedException" ? "refused" : "error"
    }
  }
  const settle = async (input: UpdateCommandInput): Promise<Written> => {
    let written = await write(input)
    if (written === "error") reports.push("OperationalError")
    while (written === "error") written = await write(input)
    return written
  }
  const backoff = (attempt: number) => BASE_BACKOFF_MS * 2 ** (attempt - 1)
  const attemptOf = (error: Error, retryCount: number, occurredAt: Date, dueAt: number) =>
    failedAttempt({ error, retryCount, occurredAt, dueAt }, MAX_RETRIES, backoff, Date.now())
  const report = (attempt: FailedAttempt | undefined) =>
    reports.push(attempt?.status === "failed" ? "MaxRetriesExceededError" : "HandlerError")
  const drop = (id: string): Held => {
    const held = holds.get(id) as Held
    holds.delete(id)
    return held
  }

  return {
    reports,
    die: cut,
    publish: async (events) => {
      const TransactItems = events.map((event) => ({ Put: transitions.publish(tableName, toItem(event)) }))
      try {
        await client.send(new TransactWriteCommand({ TransactItems }))
        return "written"
      } catch (error) {
        return (error as Error).name === "TransactionCanceledException" ? "refused" : "error"
      }
    },
    claim: async (row) => {
      const now = Date.now()
      const { id } = row
      const lease: Lease = {
        id,
        token: randomUUID(),
        leaseEndsAt: now + LEASE_MS,
        dueAt: numberOf(row.gsiSortKey) as number,
      }
      const written = await write(transitions.claim(tableName, lease, now))
      if (written === "error") {
        await write(transitions.fence(tableName, lease, now))
        return "error"
      }
      if (written === "refused") return "lost"
      const item = written.item as Item
      const read = readItem(item)
      if ("unreadable" in read) {
        await settle(transitions.fail(tableName, lease, unreadableAttempt(item, read.unreadable)))
        reports.push("ValidationError")
        return "unreadable"
      }
      holds.set(id, { lease, retryCount: read.retryCount, occurredAt: read.event.occurredAt })
      return "won"
    },
    complete: async (id) => {
      const occurredAt = drop(id).occurredAt.toISOString()
      await settle(transitions.complete(tableName, { id, occurredAt }, Date.now()))
      return "done"
    },
    release: async (id) => {
      await settle(transitions.release(tableName, drop(id).lease))
      return "done"
    },
    fail: async (id) => {
      const { lease, retryCount, occurredAt } = drop(id)
      const attempt = attemptOf(new Error("handler"), retryCount, occurredAt, lease.dueAt)
      const written = await settle(transitions.fail(tableName, lease, attempt))
      report(written === "refused" ? undefined : attempt)
      return "done"
    },
    renew: async (id) => {
      const { lease } = holds.get(id) as Held
      lease.unconfirmedLeaseEnd ??= Date.now() + LEASE_MS
      const written = await write(transitions.renew(tableName, lease, lease.unconfirmedLeaseEnd))
      if (written === "error") return "error"
      if (written === "refused") {
        drop(id)
        return "lost"
      }
      lease.leaseEndsAt = lease.unconfirmedLeaseEnd
      lease.unconfirmedLeaseEnd = undefined
      return "renewed"
    },
    recover: async (row) => {
      const { id } = row
      const now = Date.now()
      const get = new GetCommand({ TableName: tableName, Key: { id }, ConsistentRead: true })
      const seen = "retryCount" in row ? row : ((await client.send(get)).Item ?? row)
      const { retryCount, occurredAt } = toFailedEvent(seen)
      const attempt = attemptOf(new Error(PROCESSING_TIMEOUT), retryCount, occurredAt, now)
      const seenCount = fromStored(seen.retryCount, "retryCount")
      const written = await write(
        transitions.recover(tableName, { id, token: randomUUID() }, attempt, seenCount, now),
      )
      if (typeof written === "string") return written === "error" ? "error" : "done"
      const read = readActiveItem(written.item as Item)
      if (!("unreadable" in read)) {
        report(attempt)
        return "done"
      }
      const aside = unreadableAttempt(written.item as Item, read.unreadable)
      if ((await write(transitions.setAside(tableName, id, aside, attempt))) === "error") return "error"
      reports.push("ValidationError")
      return "done"
    },
    retry: async (id) => {
      const written = await write(transitions.retry(tableName, id, Date.now()))
      return written === "error" ? "error" : "done"
    },
  }
}
