// The public names of the package.
export { clientFor, LOCAL_CREDENTIALS, LOCAL_REGION } from "./client.ts"
export type { Availability, RunningDynamoDB } from "./engine.ts"
export type { ConcreteEngineName, EngineName } from "./engine-names.ts"
export { CONCRETE_ENGINES, ENGINE_NAMES, parseEngineName } from "./engine-names.ts"
export { PortTakenError } from "./engine-process.ts"
export { createOutboxTable, DEFAULT_INDEX_NAME, type OutboxTableOptions } from "./outbox-table.ts"
export {
  DynamoDBUnavailableError,
  type EngineFailure,
  engineAvailability,
  type StartDynamoDBOptions,
  startDynamoDB,
} from "./start-dynamodb.ts"
