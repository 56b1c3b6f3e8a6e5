// The original adapter removes dead letters from the index, so nobody sees them. Run this once, after the last worker
// of the original has stopped: it restores the sort key by which `getFailedEvents` finds them.
import { type DynamoDBDocumentClient, paginateScan, UpdateCommand } from "@aws-sdk/lib-dynamodb"

// #region restore
export async function restoreDeadLetters(client: DynamoDBDocumentClient, tableName: string): Promise<number> {
  // Failed, and without a sort key: only the original leaves such items.
  const condition = "#status = :failed AND attribute_not_exists(gsiSortKey)"
  const names = { "#status": "status" }
  let restored = 0
  const pages = paginateScan(
    { client },
    {
      TableName: tableName,
      FilterExpression: condition,
      ExpressionAttributeNames: names,
      ExpressionAttributeValues: { ":failed": "failed" },
    },
  )
  for await (const page of pages) {
    for (const item of page.Items ?? []) {
      const occurredAt = Date.parse(item.occurredAt)
      await client.send(
        new UpdateCommand({
          TableName: tableName,
          Key: { id: item.id },
          UpdateExpression: "SET gsiSortKey = :occurredAt",
          ConditionExpression: condition,
          ExpressionAttributeNames: names,
          ExpressionAttributeValues: {
            ":failed": "failed",
            ":occurredAt": Number.isNaN(occurredAt) ? Date.now() : occurredAt,
          },
        }),
      )
      restored++
    }
  }
  return restored
}
// #endregion
