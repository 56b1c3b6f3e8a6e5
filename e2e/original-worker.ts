/** A worker that behaves as the original adapter does, on a table of a test. */
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import { onTestFinished } from "vitest"
import { OriginalOutbox, type OriginalOutboxOptions } from "./fixture/original-outbox.ts"
import { newClient, type TestTable } from "./fixture/table.ts"

/** Starts it; it is stopped after the test. */
export function startOriginalWorker(
  table: TestTable,
  options: Omit<OriginalOutboxOptions, "tableName"> = {},
): OriginalOutbox {
  const documents = DynamoDBDocumentClient.from(newClient())
  const worker = new OriginalOutbox(documents, { ...options, tableName: table.tableName })
  worker.start()
  onTestFinished(() => worker.stop())
  return worker
}
