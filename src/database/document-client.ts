/**
 * The document client of the outbox, with options of its own.
 *
 * `DynamoDBDocumentClient.from` writes its options onto the configuration of the client it is given, so all document
 * clients of one DynamoDBClient share the options of the last that was made. The outbox must read numbers wrapped
 * (one that JavaScript can't hold would otherwise make the whole response unreadable), and the user's document client
 * must stay as it was. So the outbox has a copy of the configuration for itself, and puts back what was there.
 */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient, type TranslateConfig } from "@aws-sdk/lib-dynamodb"
import { refuse } from "../config.ts"

const OWN_OPTIONS: TranslateConfig = {
  marshallOptions: { removeUndefinedValues: true },
  unmarshallOptions: { wrapNumbers: true },
}

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

/**
 * A document client with the options of the caller's: those that the client's configuration has already, which stays as it is. What
 * is no real client, or has a `send` of its own, as in tests, is used as it is.
 */
export function sharedDocumentClient(
  client: DynamoDBClient | DynamoDBDocumentClient,
): DynamoDBDocumentClient {
  const config = client.config as { translateConfig?: TranslateConfig } | undefined
  const isReady = client instanceof DynamoDBDocumentClient || Object.hasOwn(client, "send")
  if (isReady || !config || !("middlewareStack" in client)) return client as DynamoDBDocumentClient
  const hadOptions = "translateConfig" in config
  const documentClient = DynamoDBDocumentClient.from(client as DynamoDBClient, config.translateConfig)
  if (!hadOptions) delete config.translateConfig
  return documentClient
}

function makeFrom(client: DynamoDBClient): DynamoDBDocumentClient {
  // A bare client has no configuration, and only those of which a document client was made have these options.
  const config = client.config as { translateConfig?: TranslateConfig } | undefined
  const before = config && Object.getOwnPropertyDescriptor(config, "translateConfig")
  try {
    const documentClient = DynamoDBDocumentClient.from(client, OWN_OPTIONS)
    if (config && before) Object.defineProperty(config, "translateConfig", before)
    else delete config?.translateConfig
    return documentClient
  } catch (error) {
    if ("middlewareStack" in client) throw error
    const bare = client as Partial<DynamoDBClient>
    if (typeof bare.send !== "function") refuse("client", bare, "a DynamoDBClient")
    return bare as DynamoDBDocumentClient
  }
}
