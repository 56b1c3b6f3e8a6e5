// Owns the lines that tell a person how to point a client at a DynamoDB that was started to play with.
import { LOCAL_CREDENTIALS, LOCAL_REGION } from "./client.ts"
import type { RunningDynamoDB } from "./engine.ts"

/** The endpoint, and how to use it from a shell, the AWS CLI, JavaScript and this repository's own commands. */
export function connectionHints({ engine, endpoint }: Pick<RunningDynamoDB, "engine" | "endpoint">): string {
  const { accessKeyId, secretAccessKey } = LOCAL_CREDENTIALS
  return `DynamoDB (${engine}) answers at ${endpoint}

Shell: any AWS SDK or CLI then uses it
  export AWS_ENDPOINT_URL_DYNAMODB=${endpoint}
  export AWS_REGION=${LOCAL_REGION} AWS_ACCESS_KEY_ID=${accessKeyId} AWS_SECRET_ACCESS_KEY=${secretAccessKey}

AWS CLI
  aws dynamodb list-tables --endpoint-url ${endpoint} --region ${LOCAL_REGION}

JavaScript
  import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
  const client = new DynamoDBClient({
    endpoint: "${endpoint}",
    region: "${LOCAL_REGION}",
    credentials: { accessKeyId: "${accessKeyId}", secretAccessKey: "${secretAccessKey}" },
  })

The demo, tests and benchmarks of this repository
  export DYNAMODB_ENDPOINT=${endpoint}
`
}
