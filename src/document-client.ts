/**
 * The document client of the outbox, with options of its own.
 *
 * `DynamoDBDocumentClient.from` writes its options onto the configuration of the client it is given, so all document
 * clients of one DynamoDBClient share the options of the last that was made. The outbox must read numbers wrapped
 * (one that JavaScript can't hold would otherwise make the whole answer unreadable), and the user's document client
 * must not.
 */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, type TranslateConfig } from "@aws-sdk/lib-dynamodb"

/** What the SDK leaves on the user's client: the harmless part. */
const SHARED_OPTIONS: TranslateConfig = { marshallOptions: { removeUndefinedValues: true } }

const OWN_OPTIONS: TranslateConfig = { ...SHARED_OPTIONS, unmarshallOptions: { wrapNumbers: true } }

/** Makes the document client. A bare `{ send }`, as tests pass it, is used as it is. */
export function documentClientFor(client: DynamoDBClient): DynamoDBDocumentClient {
  let documentClient: DynamoDBDocumentClient
  try {
    documentClient = DynamoDBDocumentClient.from(client, SHARED_OPTIONS)
  } catch (error) {
    if ("middlewareStack" in client) throw error
    return client as unknown as DynamoDBDocumentClient
  }
  if (documentClient?.config) {
    Object.assign(documentClient, { config: { ...documentClient.config, translateConfig: OWN_OPTIONS } })
  }
  return documentClient
}
