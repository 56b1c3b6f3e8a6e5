// Measures order: how often one worker with defaults hands over an event that was due before the one before it.
import { clientFor } from "@outbox-event-bus/dynamodb-dev"
import { seeded, shuffled } from "../chance.ts"
import type { Lab } from "../lab.ts"
import { createBacklog, dropTable, overdueEvents } from "../load/backlog.ts"
import { drainByRelay } from "../load/drains.ts"
import { atMost, type Measure } from "../target.ts"

export interface OrderResult {
  events: number
  rows: Array<{ engine: string; inversions: number; duplicates: number }>
}

async function run(lab: Lab): Promise<OrderResult> {
  const { events: count } = lab.settings.order
  const rows: OrderResult["rows"] = []
  for (const engine of lab.engines) {
    const client = clientFor(engine.endpoint)
    const tableName = lab.newTableName()
    // Stored in another order than they are due in, with ids that are in order.
    const events = overdueEvents(count)
    await createBacklog(client, { tableName, events: shuffled(events, seeded(lab.settings.seed)) })
    const { handled } = await drainByRelay({ endpoint: engine.endpoint, tableName, events }, { handlerMs: 0 })
    await dropTable(client, tableName)
    client.destroy()
    const inversions = handled.filter((id, i) => i > 0 && id < (handled[i - 1] as string)).length
    rows.push({ engine: engine.label, inversions, duplicates: handled.length - new Set(handled).size })
    lab.log(`  ${engine.label}: ${inversions} inversions`)
  }
  return { events: count, rows }
}

function targets({ events, rows }: OrderResult) {
  return rows.map(({ engine, inversions }) =>
    atMost(0, inversions, {
      figure: `inversions in ${events} with one worker and defaults, ${engine}`,
      dependsOnTime: false,
    }),
  )
}

export const orderMeasure: Measure<OrderResult> = { name: "order", run, targets }
