// Owns what can go wrong between a client and DynamoDB, how often, and which values of the rates are allowed.

/** Each is the probability, 0 to 1, with which an attempt to send a request meets this fault. None is given: 0. */
export interface FaultRates {
  /** DynamoDB refuses the request: `ThrottlingException` or `ProvisionedThroughputExceededException`. */
  throttle?: number
  /** The connection breaks before the request was sent. */
  failBeforeSending?: number
  /** The request is carried out, then the connection breaks: nobody knows. */
  loseAnswer?: number
  /**
   * A write is refused because a transaction is under way on the item: `TransactionConflictException`, or a
   * `TransactionCanceledException` with such reasons. The SDK does not try these again.
   */
  conflict?: number
  /** The request waits for a while before it is sent, or its response before it arrives. */
  delay?: number
}

/** What {@link injectFaults} does to the requests of a client. */
export interface FaultPlan extends FaultRates {
  /**
   * The longest delay in milliseconds, from 0.
   *
   * @default 200
   */
  longestDelayMs?: number
  /**
   * How old the state may be, in milliseconds from 0, from which queries of an index are answered. Each query draws an age
   * of its own between 0 and this one.
   *
   * @default 0: indexes are as fresh as the engine's
   */
  indexLagMs?: number
  /**
   * The operations that faults happen to, such as `["UpdateItem"]`.
   *
   * @default all
   */
  operations?: readonly string[]
}

/** A plan with all its values. */
export type ResolvedFaultPlan = Required<FaultRates> & {
  longestDelayMs: number
  indexLagMs: number
  operations: readonly string[] | undefined
}

const RATES = ["throttle", "failBeforeSending", "loseAnswer", "conflict", "delay"] as const

/** @throws TypeError for a value that is not allowed. */
export function resolveFaultPlan(plan: FaultPlan): ResolvedFaultPlan {
  const rate = (name: (typeof RATES)[number]) => {
    const value = plan[name] ?? 0
    if (!(value >= 0 && value <= 1))
      throw new TypeError(`${name}: expected a probability from 0 to 1, got ${value}`)
    return value
  }
  const milliseconds = (name: "longestDelayMs" | "indexLagMs", fallback: number) => {
    const value = plan[name] ?? fallback
    if (!(value >= 0 && Number.isFinite(value))) {
      throw new TypeError(`${name}: expected milliseconds from 0, got ${value}`)
    }
    return value
  }
  return {
    throttle: rate("throttle"),
    failBeforeSending: rate("failBeforeSending"),
    loseAnswer: rate("loseAnswer"),
    conflict: rate("conflict"),
    delay: rate("delay"),
    longestDelayMs: milliseconds("longestDelayMs", 200),
    indexLagMs: milliseconds("indexLagMs", 0),
    operations: plan.operations,
  }
}
