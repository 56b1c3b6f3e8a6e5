/** What a scenario is. */
import type { FaultPlan } from "../packages/dynamodb-dev/src/index.ts"
import type { WorkerTraits } from "./fleet.ts"
import type { Stage } from "./stage.ts"

export interface Scenario {
  name: string
  /** What happens, in one sentence. */
  says: string
  processingTimeoutMs: number
  /** The longest that a handler is asked to take. */
  longestHandlerMs: number
  maxRetries: number
  /** How many events kill their workers. */
  poison: number
  /**
   * What the index carries.
   *
   * @default drawn
   */
  projection?: "ALL" | "KEYS_ONLY"
  /** Nobody dies, stands still or fails: no lease may run out. */
  isGentle?: boolean
  /** What the publisher's own requests meet. */
  publisherFaults?: FaultPlan
  /**
   * How long it may take until all is settled, in milliseconds.
   *
   * @default 90000
   */
  settleWithinMs?: number
  /** Of workers that are started to settle the rest. */
  lastTraits?: WorkerTraits
  /** The table has a stream. */
  hasStream?: boolean
  /** Works on what is left when the trouble has ended; called until all is settled. Default: two workers are kept alive. */
  settle?(stage: Stage): Promise<void>
  /** Starts the first workers. */
  begin(stage: Stage): Promise<void>
  /** Lets things happen, until {@link Stage.goesOn} is false. */
  happen(stage: Stage): Promise<void>
}
