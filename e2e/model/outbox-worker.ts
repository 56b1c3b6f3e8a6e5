/** A worker that takes the adapter's own steps, one at a time. */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { OperationalError, type OutboxError, ValidationError } from "outbox-event-bus"
import type { Claim } from "../../src/delivery/event-operations.ts"
import type { EventSteps } from "../../src/delivery/event-steps.ts"
import {
  DynamoDBAwsSdkOutbox,
  TransactionCanceledError,
  withDynamoDBAwsSdkTransaction,
} from "../../src/index.ts"
import { OutboxOperator } from "../../src/operations.ts"
import { BASE_BACKOFF_MS, LEASE_MS, MAX_RETRIES } from "./circumstances.ts"
import type { Place, SystemWorker } from "./system.ts"
import type { Wire } from "./wire.ts"

/** What is private. */
interface Inside {
  errors: { onError: (error: OutboxError) => void }
  steps: EventSteps
}

/** Far longer than what fates a step has take, and no longer than what a dead process has left running may take. */
const COMMITTED_WITHIN_MS = 2000

export function outboxWorker(wire: Wire, place: Place): SystemWorker {
  const { client, cut } = wire.connect()
  const outbox = new DynamoDBAwsSdkOutbox({
    ...place,
    client: client as DynamoDBClient,
    processingTimeoutMs: LEASE_MS,
    maxRetries: MAX_RETRIES,
    baseBackoffMs: BASE_BACKOFF_MS,
  })
  const operator = new OutboxOperator({ ...place, client: client as DynamoDBClient })
  const { errors, steps: life } = outbox as unknown as Inside
  const steps = life.operations()
  const claims = new Map<string, Claim>()
  const reports: string[] = []
  errors.onError = ({ name }) => reports.push(name)

  const drop = (id: string): Claim => {
    const claim = claims.get(id) as Claim
    claims.delete(id)
    return claim
  }

  return {
    reports,
    die: cut,
    publish: (events) =>
      outbox.publish(events).then(
        () => "written",
        (error) => (error instanceof ValidationError ? "refused" : "error"),
      ),
    commit: (events) =>
      withDynamoDBAwsSdkTransaction((transaction) => outbox.publish(events, transaction), {
        client: client as DynamoDBClient,
        retryForMs: COMMITTED_WITHIN_MS,
      }).then(
        () => "written",
        (error) => (error instanceof TransactionCanceledError ? "refused" : "error"),
      ),
    claim: async (row) => {
      try {
        const outcome = await steps.claim(row)
        if (outcome.kind === "won") claims.set(row.id, outcome.claim)
        return outcome.kind
      } catch {
        await life.abandoned.idle()
        return "error"
      }
    },
    complete: async (id) => {
      await steps.complete(drop(id))
      return "done"
    },
    release: async (id) => {
      await steps.release(drop(id))
      return "done"
    },
    fail: async (id) => {
      await steps.fail(drop(id), new Error("handler"))
      return "done"
    },
    renew: async (id) => {
      const { lease } = claims.get(id) as Claim
      try {
        if (await steps.renew(lease, Date.now() + LEASE_MS)) return "renewed"
        claims.delete(id)
        return "lost"
      } catch {
        return "error"
      }
    },
    recover: (row) =>
      steps.recover(row).then(
        () => "done",
        () => "error",
      ),
    discard: (id) =>
      operator.discard([id], { reason: "model" }).then(
        () => "done",
        (error) => (error instanceof OperationalError ? "error" : String(error)),
      ),
    retry: (id) =>
      outbox.retryEvents([id]).then(
        () => "done",
        (error) => (error instanceof OperationalError ? "error" : String(error)),
      ),
  }
}
