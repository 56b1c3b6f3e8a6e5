/** A worker of the original on a table of a test. */
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import type { BusEvent } from "outbox-event-bus"
import { onTestFinished } from "vitest"
import { newClient, type TestTable } from "../fixture/table.ts"
import { OriginalOutbox, type OriginalVersion } from "./original-outbox.ts"

/** Starts it, with short times; it is stopped after the test. */
export function startOriginalWorker(
  { tableName }: TestTable,
  version: OriginalVersion,
  handler: (event: BusEvent) => unknown = () => {},
): { deliveredIds: string[]; stop: () => Promise<void> } {
  const outbox = new OriginalOutbox(DynamoDBDocumentClient.from(newClient()), {
    tableName,
    version,
    baseBackoffMs: 2,
    pollIntervalMs: 10,
    processingTimeoutMs: 10_000,
  })
  const deliveredIds: string[] = []
  outbox.start(
    async (event) => {
      deliveredIds.push(event.id)
      await handler(event)
    },
    () => {},
  )
  onTestFinished(() => outbox.stop())
  return { deliveredIds, stop: () => outbox.stop() }
}
