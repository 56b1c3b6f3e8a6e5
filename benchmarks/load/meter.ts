// Owns the counting of what is sent: a client middleware that asks for the capacity each request consumed. The library
// measured knows nothing of it.
import type { ConsumedCapacity, DynamoDBClient } from "@aws-sdk/client-dynamodb"

/** Read and write units, of the table itself and of its index. */
export interface Units {
  tableWrite: number
  indexWrite: number
  tableRead: number
  indexRead: number
}

export interface Counts extends Units {
  requests: Record<string, number>
  /** Conditional writes that were refused; each is billed as a write. */
  refused: number
}

/** Counts what a client sends, from {@link attach} on. */
export class Meter {
  private counts = noCounts()

  attach(client: DynamoDBClient): this {
    client.middlewareStack.add(
      (next, context) => async (args) => {
        const name = (context.commandName ?? "unknown").replace(/Command$/, "")
        this.counts.requests[name] = (this.counts.requests[name] ?? 0) + 1
        try {
          const input = { ...args.input, ReturnConsumedCapacity: "INDEXES" } as typeof args.input
          const result = await next({ ...args, input })
          this.addUnits(name, result.output as { ConsumedCapacity?: ConsumedCapacity | ConsumedCapacity[] })
          return result
        } catch (error) {
          if ((error as Error).name === "ConditionalCheckFailedException") this.counts.refused++
          throw error
        }
      },
      { step: "initialize", name: "meter" },
    )
    return this
  }

  /** What was counted since the last call. */
  take(): Counts {
    const { counts } = this
    this.counts = noCounts()
    return counts
  }

  private addUnits(name: string, output: { ConsumedCapacity?: ConsumedCapacity | ConsumedCapacity[] }) {
    const isRead = name === "Query" || name === "GetItem"
    for (const capacity of [output.ConsumedCapacity ?? []].flat()) {
      const indexes = Object.values(capacity.GlobalSecondaryIndexes ?? {})
      const index = indexes.reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0)
      const table = capacity.Table?.CapacityUnits ?? (capacity.CapacityUnits ?? 0) - index
      this.counts[isRead ? "tableRead" : "tableWrite"] += table
      this.counts[isRead ? "indexRead" : "indexWrite"] += index
    }
  }
}

function noCounts(): Counts {
  return { requests: {}, refused: 0, tableWrite: 0, indexWrite: 0, tableRead: 0, indexRead: 0 }
}

export function totalRequests({ requests }: Pick<Counts, "requests">): number {
  return Object.values(requests).reduce((sum, count) => sum + count, 0)
}
