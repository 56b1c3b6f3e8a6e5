// Shuts a worker down so that no event has to wait until a lease expires.
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import type { OutboxEventBus } from "outbox-event-bus"

export function stopOnSignals(bus: OutboxEventBus, client: DynamoDBClient): void {
  // #region shutdown
  async function shutDown() {
    // Shorter than the grace period of your platform (ECS and Kubernetes: 30 s). What is still running is recovered later.
    setTimeout(() => process.exit(1), 25_000).unref()
    await bus.stop()
    client.destroy()
    process.exit()
  }
  process.once("SIGTERM", shutDown)
  process.once("SIGINT", shutDown)
  // #endregion
}
