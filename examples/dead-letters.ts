// The operator's tool: lists dead letters, or sets some of them back. Usage: node dead-letters.ts [event id ...]
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
  // Mend the cause first: they are due at once, with all attempts before them.
  await outbox.retryEvents(eventIds)
}
// #endregion
