// Listens to what the outboxes of this process do.
import { subscribe } from "node:diagnostics_channel"
import { OUTBOX_DIAGNOSTICS_CHANNEL, type OutboxDiagnostic } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"

/** @param onDuration - Told how long each handler took. */
export function watchHandlers(onDuration: (tableName: string, ms: number) => void): void {
  // #region subscribe
  subscribe(OUTBOX_DIAGNOSTICS_CHANNEL, (message) => {
    const diagnostic = message as OutboxDiagnostic
    if (diagnostic.what === "handler-ended") onDuration(diagnostic.tableName, diagnostic.ms)
  })
  // #endregion
}
