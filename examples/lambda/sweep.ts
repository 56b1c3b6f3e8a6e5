// Delivers what the stream leaves behind: retries, events with a due time in the future, events whose invocation has died.
// #region sweep
import type { ScheduledHandler } from "aws-lambda"
import { bus, outbox } from "./outbox.ts"

// Hands over the handlers, and starts no loop.
bus.start()

/** How long the stream has to deliver a new event before the sweeper takes it. */
const DUE_FOR_MS = 10_000

/** Fails when the table can't be read, so that the alarm on its errors goes off. */
export const handler: ScheduledHandler = async (_event, context) => {
  const result = await outbox.drain({
    dueForMs: DUE_FOR_MS,
    deadline: () => context.getRemainingTimeInMillis(),
  })
  console.log("swept", JSON.stringify(result))
}
// #endregion
