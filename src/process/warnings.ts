/** Process warnings of the outbox: each with a code, and once per cause, however often it occurs. */

/** Why the process is warned; `code` of the warning. */
export type WarningCode =
  | "OUTBOX_UNKNOWN_OPTION"
  | "OUTBOX_SHORT_PROCESSING_TIMEOUT"
  | "OUTBOX_STOP_INSIDE_HANDLER"
  | "OUTBOX_UNKNOWN_EVENT_KEY"
  | "OUTBOX_EMIT_OUTSIDE_TRANSACTION"
  | "OUTBOX_TRANSACTION_NOT_SENT"
  | "OUTBOX_POLLING_ON_LAMBDA"

/** Of causes beyond that many, none is told twice for certain: keys may come from anywhere. */
const MOST_REMEMBERED = 1000

const told = new Set<string>()

/** @param cause - What is not told again; default: the message, which names it. */
export function warnOnce(code: WarningCode, message: string, cause = message): void {
  if (told.has(cause) || told.size >= MOST_REMEMBERED) return
  told.add(cause)
  process.emitWarning(message, { type: "OutboxWarning", code })
}

/** A function's environment stands still between two invocations, with whatever its poll loop has claimed. */
export function warnIfOnLambda(): void {
  if (!process.env?.AWS_LAMBDA_FUNCTION_NAME) return
  warnOnce(
    "OUTBOX_POLLING_ON_LAMBDA",
    "An outbox with a poll loop was started in a Lambda function, where it stands still between two invocations. Use the option " +
      "polling: false and drain(), unless you stop it within the same invocation.",
  )
}

export function warnOfStopInsideHandler(): void {
  warnOnce(
    "OUTBOX_STOP_INSIDE_HANDLER",
    "stop() was called inside a handler, so it does not wait for that handler to end",
  )
}
