// Owns the baseline: a worker with the algorithm of the original adapter's newest version, with its defaults.
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import type { BusEvent } from "outbox-event-bus"
import { OriginalOutbox } from "../../e2e/original/original-outbox.ts"

export interface Baseline {
  client: DynamoDBClient
  tableName: string
  handler(event: BusEvent): Promise<void>
  /** @default 1000 */
  pollIntervalMs?: number
  /** Called when a poll begins. */
  onPoll?(): void
}

export function originalWorker({ client, handler, ...options }: Baseline) {
  const outbox = new OriginalOutbox(DynamoDBDocumentClient.from(client), { ...options, version: "2.0.3" })
  const onError = (error: Error) => {
    throw error
  }
  return { start: () => outbox.start(handler, onError), stop: () => outbox.stop() }
}
