/** The outbox table as data, and making one. */
import {
  CreateTableCommand,
  type CreateTableCommandInput,
  type DynamoDBClient,
  type ProjectionType,
  type StreamViewType,
  UpdateContinuousBackupsCommand,
  UpdateTimeToLiveCommand,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb"
import { DEFAULT_INDEX_NAME } from "../config.ts"
import { isNamed } from "../database/dynamodb-errors.ts"

/** What the table is like, beyond its keys, which are always the same. */
export interface TableOptions {
  /** The table's name. */
  tableName: string
  /**
   * The name of the index.
   * @default "status-gsiSortKey-index"
   */
  statusIndexName?: string | undefined
  /**
   * What the index carries: the keys are enough, and cheapest for events above 1 KB.
   * @default "KEYS_ONLY"
   */
  projection?: Extract<ProjectionType, "KEYS_ONLY" | "ALL"> | undefined
  /**
   * What the table's stream shows, for delivery from it.
   * @default no stream
   */
  stream?: Extract<StreamViewType, "NEW_IMAGE" | "NEW_AND_OLD_IMAGES" | "KEYS_ONLY"> | undefined
  /**
   * The attribute that DynamoDB's TTL looks at: the one of the outbox's option `completedEvents`.
   * @default no TTL
   */
  ttlAttribute?: string | undefined
  /**
   * Whether the table refuses to be deleted.
   * @default true
   */
  deletionProtection?: boolean | undefined
  /**
   * Whether the table can be restored to any second of the last 35 days. Local engines, which don't know of backups, are left without.
   * @default true
   */
  pointInTimeRecovery?: boolean | undefined
}

/** @returns the input of a `CreateTableCommand`, for CloudFormation, the CDK and the like. TTL and backups are not part of it. */
export function outboxTableDefinition({
  tableName,
  statusIndexName = DEFAULT_INDEX_NAME,
  projection = "KEYS_ONLY",
  stream,
  deletionProtection = true,
}: TableOptions): CreateTableCommandInput {
  return {
    TableName: tableName,
    BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [
      { AttributeName: "id", AttributeType: "S" },
      { AttributeName: "status", AttributeType: "S" },
      { AttributeName: "gsiSortKey", AttributeType: "N" },
    ],
    KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
    GlobalSecondaryIndexes: [
      {
        IndexName: statusIndexName,
        KeySchema: [
          { AttributeName: "status", KeyType: "HASH" },
          { AttributeName: "gsiSortKey", KeyType: "RANGE" },
        ],
        Projection: { ProjectionType: projection },
      },
    ],
    DeletionProtectionEnabled: deletionProtection,
    ...(stream && { StreamSpecification: { StreamEnabled: true, StreamViewType: stream } }),
  }
}

const WAIT_SECONDS = 300

/**
 * Creates the table, waits until it is active, and then sets its TTL and backups.
 *
 * @param client - Needs `dynamodb:CreateTable`, `DescribeTable`, and for TTL and backups `UpdateTimeToLive` and
 *   `UpdateContinuousBackups`.
 * @param options - What it is like.
 * @throws the SDK's error, such as `ResourceInUseException` for a table that is there already.
 */
export async function createOutboxTable(client: DynamoDBClient, options: TableOptions): Promise<void> {
  const { tableName: TableName, ttlAttribute, pointInTimeRecovery = true } = options
  await client.send(new CreateTableCommand(outboxTableDefinition(options)))
  await waitUntilTableExists({ client, maxWaitTime: WAIT_SECONDS, minDelay: 0.1, maxDelay: 5 }, { TableName })
  if (ttlAttribute !== undefined) {
    const TimeToLiveSpecification = { AttributeName: ttlAttribute, Enabled: true }
    await client.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification }))
  }
  if (pointInTimeRecovery) {
    const PointInTimeRecoverySpecification = { PointInTimeRecoveryEnabled: true }
    await client
      .send(new UpdateContinuousBackupsCommand({ TableName, PointInTimeRecoverySpecification }))
      .catch((error) => {
        // Local engines have no backups.
        if (!isNamed(error, "UnknownOperationException")) throw error
      })
  }
}
