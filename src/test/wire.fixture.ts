/** A real DynamoDBClient whose requests end in this process: what the SDK really sends, and what it makes of answers. */
import { Readable } from "node:stream"
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"

/** A request as it goes over the wire. */
export interface SentRequest {
  operation: string
  input: Record<string, unknown>
}

/** @param answer - What DynamoDB answers, as it goes over the wire. */
export function clientOnWire(answer: (request: SentRequest) => unknown = () => ({})) {
  const sent: SentRequest[] = []
  const client = new DynamoDBClient({
    region: "eu-west-1",
    endpoint: "http://localhost:1",
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
    requestHandler: {
      handle: async (request: { headers: Record<string, string>; body: Uint8Array }) => {
        const operation = request.headers["x-amz-target"]?.split(".")[1] ?? ""
        const seen = { operation, input: JSON.parse(new TextDecoder().decode(request.body)) }
        sent.push(seen)
        const headers = { "content-type": "application/x-amz-json-1.0" }
        const body = Readable.from([Buffer.from(JSON.stringify(answer(seen)))])
        return { response: { statusCode: 200, headers, body } }
      },
    },
  })
  return { client, sent }
}
