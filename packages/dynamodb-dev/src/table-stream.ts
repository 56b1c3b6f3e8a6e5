// Owns reading the stream of a table from its start: as far as the tests need what Lambda's event source mapping does.
import { DescribeTableCommand } from "@aws-sdk/client-dynamodb"
import {
  DescribeStreamCommand,
  DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
  TrimmedDataAccessException,
} from "@aws-sdk/client-dynamodb-streams"
import type { DynamoDBRecord } from "aws-lambda"
import { clientFor, LOCAL_CREDENTIALS, LOCAL_REGION } from "./client.ts"

/** The records of a table's stream, in order. Local engines keep a single shard. */
export class TableStream {
  private iterator: string | undefined

  private constructor(
    private readonly client: DynamoDBStreamsClient,
    private readonly arn: string,
    private readonly shardId: string | undefined,
  ) {}

  /** @throws where the table has no stream. */
  static async open(endpoint: string, tableName: string): Promise<TableStream> {
    const client = clientFor(endpoint)
    const { Table: table } = await client.send(new DescribeTableCommand({ TableName: tableName }))
    client.destroy()
    const StreamArn = table?.LatestStreamArn
    if (StreamArn === undefined) throw new Error(`table ${tableName} has no stream`)
    const streams = new DynamoDBStreamsClient({
      endpoint,
      region: LOCAL_REGION,
      credentials: LOCAL_CREDENTIALS,
    })
    const { StreamDescription: description } = await streams.send(new DescribeStreamCommand({ StreamArn }))
    const ShardId = description?.Shards?.[0]?.ShardId
    return new TableStream(streams, StreamArn, ShardId)
  }

  /**
   * @returns the records since the last call; none if there are no new ones. DynamoDB Local keeps the last thousand or so: where it
   *   has dropped what comes next, the oldest that are left, some of which may have been read before.
   */
  async next(): Promise<DynamoDBRecord[]> {
    this.iterator ??= await this.oldest()
    const page = await this.client
      .send(new GetRecordsCommand({ ShardIterator: this.iterator }))
      .catch(async (error) => {
        if (!(error instanceof TrimmedDataAccessException)) throw error
        return this.client.send(new GetRecordsCommand({ ShardIterator: await this.oldest() }))
      })
    this.iterator = page.NextShardIterator
    // Times are dates here, and numbers for a function; nobody reads them.
    const records = (page.Records ?? []) as unknown as DynamoDBRecord[]
    return records.map((record) => ({ ...record, eventSourceARN: this.arn }))
  }

  private async oldest(): Promise<string | undefined> {
    const place = { StreamArn: this.arn, ShardId: this.shardId, ShardIteratorType: "TRIM_HORIZON" } as const
    const { ShardIterator } = await this.client.send(new GetShardIteratorCommand(place))
    return ShardIterator
  }

  close(): void {
    this.client.destroy()
  }
}
