// Ending a relay process so that no event has to wait for a lease to run out.
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import type { OutboxEventBus } from "outbox-event-bus"

export function stopOnSignals(bus: OutboxEventBus, client: DynamoDBClient): void {
  // #region shutdown
  async function shutDown() {
    // Below the grace period of your platform (ECS and Kubernetes: 30 s): what still runs then is recovered later.
    setTimeout(() => process.exit(1), 25_000).unref()
    await bus.stop()
    client.destroy()
    process.exit()
  }
  process.once("SIGTERM", shutDown)
  process.once("SIGINT", shutDown)
  // #endregion
}
