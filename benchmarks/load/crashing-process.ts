// A worker whose handlers never end: it says when all are running, and is there to be killed.
// crashing-process.ts <endpoint> <table> <concurrency> <processingTimeoutMs>
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { DynamoDBAwsSdkOutbox } from "../../src/index.ts"

const [endpoint = "", tableName = "", concurrency, processingTimeoutMs] = process.argv.slice(2)

let running = 0
new DynamoDBAwsSdkOutbox({
  client: clientFor(endpoint),
  tableName,
  concurrency: Number(concurrency),
  processingTimeoutMs: Number(processingTimeoutMs),
}).start(
  async () => {
    if (++running === Number(concurrency)) process.send?.("all running")
    await new Promise(() => {})
  },
  (error) => {
    throw error
  },
)
