// The public names of the package.
export { clientFor, LOCAL_CREDENTIALS, LOCAL_REGION } from "./client.ts"
export type { Availability, RunningDynamoDB } from "./engine.ts"
export type { ConcreteEngineName, EngineName } from "./engine-names.ts"
export { CONCRETE_ENGINES, ENGINE_NAMES, parseEngineName } from "./engine-names.ts"
export { PortTakenError } from "./engine-process.ts"
export {
  exemptFromFaults,
  type FaultCounts,
  type FaultInjector,
  type FaultOptions,
  injectFaults,
} from "./fault-injection.ts"
export type { FaultPlan, FaultRates } from "./fault-plan.ts"
export { type FaultyProxy, type ProxyCounts, startFaultyProxy } from "./faulty-proxy.ts"
export { createOutboxTable, DEFAULT_INDEX_NAME, type OutboxTableOptions } from "./outbox-table.ts"
export type { Slowness } from "./proxied-connection.ts"
export { type Chance, seededChance } from "./seeded-chance.ts"
export {
  DynamoDBUnavailableError,
  type EngineFailure,
  engineAvailability,
  type StartDynamoDBOptions,
  startDynamoDB,
} from "./start-dynamodb.ts"
export { TableStream } from "./table-stream.ts"
export {
  startWorkerProcess,
  type WorkerEnd,
  type WorkerProcess,
  type WorkerProcessOptions,
} from "./worker-process.ts"
