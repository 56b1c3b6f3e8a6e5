// Looks after an outbox from code: a scheduled job, or an endpoint for operators.
// #region operator
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { OutboxOperator } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/operations"

const operator = new OutboxOperator({ client: new DynamoDBClient({}), tableName: "outbox" })

const { due, failed, dueForMs = 0 } = await operator.getBacklog()
console.log(`${due.count} due for up to ${dueForMs} ms, ${failed.count} dead letters`)

for (const { type, errorKind, count } of await operator.countDeadLetters()) {
  console.log(`${count} × ${type}: ${errorKind}`)
}

// The carrier is back: try its parcels again, fifty a second.
const carrier = { type: "order.placed", errorKind: "carrier responded <n>" }
const { retried } = await operator.retry(carrier, { perSecond: 50 })
console.log(`${retried} are due again`)
// #endregion
