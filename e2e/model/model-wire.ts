/** The way from the workers of the model to its table: with the fates of a step, and the SDK's second try. */
import { ATTEMPTS } from "./circumstances.ts"
import type { Fate } from "./step.ts"
import { apply, type Table, type Write, type WriteResult } from "./table-model.ts"

/** The worker's process has ended in the middle of a step. */
export class Death {}

export class ModelWire {
  readonly table: Table = new Map()
  /** Every write that was sent, in order. */
  readonly past: Write[] = []
  /** Names of the errors that the step has reported. */
  reports: string[] = []
  fates: Fate[] = []
  private tokens = 0

  newToken(of: string): string {
    return `${of} ${this.tokens++}`
  }

  /** The SDK marks a transaction, so sending it again changes nothing and gives the answer of the first time. */
  publish(events: readonly { id: string; occurredAt: number }[]): WriteResult | "error" {
    return this.marked(events)()
  }

  /** The helper marks it itself, so however often it sends the transaction, it is the same one. */
  commit(events: readonly { id: string; occurredAt: number }[]): WriteResult {
    const send = this.marked(events)
    for (;;) {
      const result = send()
      if (result !== "error") return result
    }
  }

  private marked(events: readonly { id: string; occurredAt: number }[]): () => WriteResult | "error" {
    const write: Write = { kind: "publish", events }
    let first: WriteResult | undefined
    return () => {
      this.past.push(write)
      return this.send(() => {
        if (first !== "written") first = apply(this.table, write)
        return first
      })
    }
  }

  write(write: Write): WriteResult | "error" {
    this.past.push(write)
    return this.send(() => apply(this.table, write))
  }

  /** Tries until there is an answer, and reports the first failure. */
  settle(write: Write): WriteResult {
    let result = this.write(write)
    if (result === "error") this.reports.push("OperationalError")
    while (result === "error") result = this.write(write)
    return result
  }

  /** Sends as the SDK does: again when there was no response. */
  private send(attempt: () => WriteResult): WriteResult | "error" {
    for (let attempts = 0; attempts < ATTEMPTS; attempts++) {
      const fate = this.fates.shift()
      if (fate === "dies before") throw new Death()
      const result = fate === "dropped" ? undefined : attempt()
      if (fate === "dies after") throw new Death()
      if (fate === undefined) return result as WriteResult
    }
    return "error"
  }
}
