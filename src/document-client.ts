/**
 * The document client of the outbox, with options of its own.
 *
 * `DynamoDBDocumentClient.from` writes its options onto the configuration of the client it is given, so all document
 * clients of one DynamoDBClient share the options of the last that was made. The outbox must read numbers wrapped
 * (one that JavaScript can't hold would otherwise make the whole answer unreadable), and the user's document client
 * must not. So the outbox leaves only what is harmless there, and has a configuration of its own.
 */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, type TranslateConfig } from "@aws-sdk/lib-dynamodb"
import { refuse } from "./config.ts"

/** What the user's document client has from now on, if it was made before. What it had is not ours to read. */
const SHARED_OPTIONS: TranslateConfig = { marshallOptions: { removeUndefinedValues: true } }

const OWN_OPTIONS: TranslateConfig = { ...SHARED_OPTIONS, unmarshallOptions: { wrapNumbers: true } }

/**
 * Makes the document client. A bare `{ send }`, as tests pass it, is used as it is.
 * @throws {ConfigurationError} for a client that can't send.
 */
export function documentClientFor(client: DynamoDBClient): DynamoDBDocumentClient {
  const documentClient = makeFrom(client)
  if (documentClient?.config) {
    Object.assign(documentClient, { config: { ...documentClient.config, translateConfig: OWN_OPTIONS } })
  }
  return documentClient
}

function makeFrom(client: DynamoDBClient): DynamoDBDocumentClient {
  try {
    return DynamoDBDocumentClient.from(client, SHARED_OPTIONS)
  } catch (error) {
    if ("middlewareStack" in client) throw error
    const bare = client as Partial<DynamoDBClient>
    if (typeof bare.send !== "function") refuse("client", bare, "a DynamoDBClient")
    return bare as DynamoDBDocumentClient
  }
}
