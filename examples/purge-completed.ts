// Deletes completed events after a retention period. Run it on a schedule; it can run while workers are delivering.
import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb"
import { DeleteCommand, type DynamoDBDocumentClient, paginateScan } from "@aws-sdk/lib-dynamodb"

// #region purge
export async function purgeCompleted(client: DynamoDBDocumentClient, tableName: string, olderThan: Date) {
  const filter = {
    TableName: tableName,
    ExpressionAttributeNames: { "#status": "status" },
    ExpressionAttributeValues: { ":completed": "completed", ":olderThan": olderThan.getTime() },
  }
  const condition = "#status = :completed AND completedOn < :olderThan"
  const pages = paginateScan(
    { client },
    { ...filter, FilterExpression: condition, ProjectionExpression: "id" },
  )
  let purged = 0
  for await (const page of pages) {
    for (const { id } of page.Items ?? []) {
      try {
        await client.send(new DeleteCommand({ ...filter, Key: { id }, ConditionExpression: condition }))
        purged++
      } catch (error) {
        // Deleted meanwhile, for example by another run of this script.
        if (!(error instanceof ConditionalCheckFailedException)) throw error
      }
    }
  }
  return purged
}
// #endregion
