/** What a transaction that commits itself rejects with: it was refused, or nobody knows what became of it. */
import { OperationalError } from "outbox-event-bus"

/** A write of a transaction that DynamoDB did not accept. */
export interface RefusedWrite {
  /** Where it is in the transaction, counted from 0 in the order of `push` and `emit`. */
  readonly position: number
  readonly action: "Put" | "Update" | "Delete" | "ConditionCheck"
  readonly tableName: string
  /** The id of the event, where the write is one that `emit` has added. */
  readonly eventId?: string
  /** The key of the item. Of a `Put`, whose item does not tell, the attributes that its condition requires to be absent. */
  readonly key?: Readonly<Record<string, unknown>>
  /** DynamoDB's code, such as `ConditionalCheckFailed` or `TransactionConflict`. */
  readonly code: string
}

/**
 * DynamoDB has canceled the transaction: nothing of it was stored. The message names each refused write by position and key, and
 * says why; `cause` is DynamoDB's `TransactionCanceledException`.
 *
 * @example
 * ```ts
 * catch (error) {
 *   if (!(error instanceof TransactionCanceledError)) throw error
 *   const isTaken = error.refused.some(({ tableName, code }) => tableName === "orders" && code === "ConditionalCheckFailed")
 *   if (isTaken) return { statusCode: 409 }
 *   throw error
 * }
 * ```
 */
export class TransactionCanceledError extends OperationalError {
  override readonly name = "TransactionCanceledError"
  /** The writes that were not accepted. Those that are not listed were fine by themselves. */
  readonly refused: readonly RefusedWrite[]

  /**
   * @param message - What was refused, and why.
   * @param refused - The writes that were not accepted.
   * @param cause - DynamoDB's error.
   */
  constructor(message: string, refused: readonly RefusedWrite[], cause: unknown) {
    super(message, { cause, refused })
    this.refused = refused
  }

  /**
   * All that was refused are events whose ids are in the table already: the same transaction, with ids of yours, has been committed
   * before. A handler that emits, and runs again after it has committed, can take that for success.
   */
  get isRepetition(): boolean {
    return this.refused.length > 0 && this.refused.every(isStoredEvent)
  }
}

export function isStoredEvent({ eventId, code }: RefusedWrite): boolean {
  return eventId !== undefined && code === "ConditionalCheckFailed"
}

/**
 * No response has said what became of the transaction: all of it is stored, or nothing. `cause` is the last error.
 *
 * To find out, send the same writes again with the same token within ten minutes: DynamoDB stores them once. Events get the same
 * writes only if they have ids and `occurredAt` of yours.
 */
export class TransactionOutcomeUnknownError extends OperationalError {
  override readonly name = "TransactionOutcomeUnknownError"
  /** The token with which the transaction was sent. */
  readonly clientRequestToken: string

  /**
   * @param clientRequestToken - The token with which the transaction was sent.
   * @param cause - The last error.
   */
  constructor(clientRequestToken: string, cause: unknown) {
    super("The outcome of the transaction is unknown: it is stored as a whole, or not at all", {
      cause,
      clientRequestToken,
    })
    this.clientRequestToken = clientRequestToken
  }
}
