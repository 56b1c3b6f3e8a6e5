// Owns the shape every engine has, so that starting, falling back and reporting know nothing about any one of them.
import type { ConcreteEngineName } from "./engine-names.ts"

/** Whether an engine can run on this machine; if not, why, and what would change that. */
export type Availability =
  | { available: true; how: string }
  | { available: false; reason: string; remedy: string }

/** What an engine needs to know to start. */
export interface EngineStartOptions {
  /** The port to listen on; a free one when left out. */
  port: number | undefined
  /** How long it may take until the API answers, in milliseconds. */
  readyTimeoutMs: number
}

/** A DynamoDB that answers. */
export interface RunningDynamoDB {
  /** The engine that was started. */
  readonly engine: ConcreteEngineName
  /** The URL to give to a client. */
  readonly endpoint: string
  /** The engine's own process, where it is a process on this machine. */
  readonly pid?: number
  /** Resolves when that process has ended, for whatever reason. */
  readonly ended?: Promise<void>
  /** Ends the engine and resolves when its process is gone. May be called again. Leaves a `DYNAMODB_ENDPOINT` alone. */
  stop(): Promise<void>
}

/** One way to get a DynamoDB. */
export interface Engine {
  readonly name: ConcreteEngineName
  availability(): Promise<Availability>
  start(options: EngineStartOptions): Promise<RunningDynamoDB>
}
