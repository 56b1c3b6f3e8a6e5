// Releasing an event: how a handler tells an outbox that the event should be released without counting an attempt, for another worker or for later.
//
// An outbox that can do that has the property `[RELEASE]` with the value true, and so has the error that asks for it. It is a registered
// symbol, because the two sides may come from different packages, or from two copies of this one.

/** Marks outboxes that release events, and the errors that ask for it. */
export const RELEASE: unique symbol = Symbol.for("outbox-event-bus/release") as never

/** Whether a handler failed only to have the event released: not counted as an attempt, and delivered again after a pause. */
export function isRelease(error: unknown): boolean {
  try {
    return (error as { [RELEASE]?: unknown } | null | undefined)?.[RELEASE] === true
  } catch {
    // A getter or a Proxy that throws asks for nothing.
    return false
  }
}
