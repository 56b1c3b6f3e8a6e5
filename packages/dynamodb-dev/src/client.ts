// Owns how a client of a local DynamoDB is made.
import { DynamoDBClient, type DynamoDBClientConfig } from "@aws-sdk/client-dynamodb"

/** What local engines accept; they don't check the signature, but the SDK won't send a request without one. */
export const LOCAL_CREDENTIALS = { accessKeyId: "local", secretAccessKey: "local" } as const

/** The region of all local clients: without `-sharedDb`, DynamoDB Local keeps the tables of each region apart. */
export const LOCAL_REGION = "us-east-1"

/**
 * A client of the DynamoDB at `endpoint`: made-up credentials, a fixed region, and otherwise the SDK's own defaults,
 * so that retries and sockets are those that users have.
 */
export function clientFor(endpoint: string, overrides: DynamoDBClientConfig = {}): DynamoDBClient {
  return new DynamoDBClient({ endpoint, region: LOCAL_REGION, credentials: LOCAL_CREDENTIALS, ...overrides })
}
