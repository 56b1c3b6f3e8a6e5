/** Makes the tables that histories are run on. */
import { randomUUID } from "node:crypto"
import { createOutboxTable, DEFAULT_INDEX_NAME } from "../../packages/dynamodb-dev/src/index.ts"
import type { Projection } from "./circumstances.ts"
import type { Laboratory } from "./history.ts"
import type { Place } from "./system.ts"
import { Wire } from "./wire.ts"

export async function openLaboratory(endpoint: string): Promise<Laboratory & { close(): void }> {
  const wire = new Wire(endpoint)
  const create = async (projection: Projection): Promise<Place> => {
    const tableName = `model-${randomUUID()}`
    await createOutboxTable(wire.client, { tableName, projection })
    return { tableName, statusIndexName: DEFAULT_INDEX_NAME }
  }
  const places = { ALL: await create("ALL"), KEYS_ONLY: await create("KEYS_ONLY") }
  return { wire, places, close: () => wire.client.destroy() }
}
