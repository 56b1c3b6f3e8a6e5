/** What the fleet tells a worker process: its settings at the start, and orders while it runs. */
import type { DynamoDBBatchResponse, DynamoDBStreamEvent } from "aws-lambda"
import type { FaultPlan } from "../packages/dynamodb-dev/src/index.ts"

export interface WorkerSettings {
  name: string
  /** "original": behaves as the adapter did before this one. */
  version: "new" | "original"
  endpoint: string
  tableName: string
  /** The folder for journals, and for the marks of handlers that have failed already. */
  folder: string
  seed: string
  concurrency: number
  processingTimeoutMs: number
  maxRetries: number
  faults: FaultPlan
  /** An environment of a function: it works only while it is invoked. */
  isFunction: boolean
}

export type WorkerOrder =
  | { order: "stop" }
  | { order: "faults"; isOn: boolean }
  | ({ order: "invoke" } & Invocation)

/** What a function is invoked with: records of the stream, or nothing for the sweeper. */
export interface Invocation {
  records?: DynamoDBStreamEvent["Records"]
  /** How much time it has, in milliseconds. */
  timeoutMs: number
}

/** What an invocation has come to. */
export type InvocationReply = { response: DynamoDBBatchResponse | undefined } | { error: string }

/** How the settings travel. */
export const SETTINGS_VARIABLE = "CHAOS_WORKER"

/** What an event asks of its handler. */
export interface ChaosPayload {
  /** How long it takes, in milliseconds. */
  takesMs: number
  /** How many of its runs fail. */
  failures: number
  /** It kills its worker. */
  isPoison: boolean
}
