// Owns what the parent and a worker process say to each other.
import type { Counts } from "./meter.ts"

/** Work on a table until told to stop. */
export interface StartWork {
  kind: "start"
  algorithm: "relay" | "original"
  endpoint: string
  tableName: string
}

/** Emit events, one after another, with random pauses up to `pauseMs`. */
export interface EmitEvents {
  kind: "emit"
  endpoint: string
  tableName: string
  count: number
  pauseMs: number
  seed: number
}

export type ToWorker = StartWork | EmitEvents | { kind: "stop" }

export type FromWorker =
  | { kind: "ready" }
  /** Ids whose handlers began, gathered for a moment: a message for each would cost more than the handler. */
  | { kind: "handled"; ids: string[] }
  | { kind: "stopped"; counts: Counts }
  | { kind: "emitted" }
