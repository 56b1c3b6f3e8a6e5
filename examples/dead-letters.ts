// A tool for operators: lists dead letters, or retries some of them. Usage: node dead-letters.ts [event id ...]
// #region dead-letters
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBAwsSdkOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"

const outbox = new DynamoDBAwsSdkOutbox({ client: new DynamoDBClient({}), tableName: "outbox" })
const eventIds = process.argv.slice(2)

if (eventIds.length === 0) {
  const deadLetters = await outbox.getFailedEvents()
  console.table(
    deadLetters.map(({ id, type, retryCount, error, lastAttemptAt }) => ({
      id,
      type,
      retryCount,
      error,
      lastAttemptAt: lastAttemptAt?.toISOString(),
    })),
  )
} else {
  // Fix the cause first: they are due at once, with the retry count reset.
  await outbox.retryEvents(eventIds)
}
// #endregion
