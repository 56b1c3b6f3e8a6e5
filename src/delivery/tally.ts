/** Counts what becomes of the events of a drain, by watching the operations. */
import type { EventOperations, Settlement, StuckEvents } from "./event-operations.ts"

export class Tally {
  readonly counts: Record<Settlement, number> = { delivered: 0, retried: 0, deadLettered: 0, released: 0 }
  /** Due events were read, or an expired lease was seen to. */
  hasLooked = false
  /** The ids of events whose claim has failed: not lost to another worker, but unknown. */
  readonly unclaimed = new Set<string>()

  /**
   * @param dueForMs - For how long an event has to have been due to be shown.
   * @returns the same operations, watched.
   */
  watch(operations: EventOperations & StuckEvents, dueForMs: number): EventOperations & StuckEvents {
    const counted = async (settled: Promise<Settlement | undefined>) => {
      const settlement = await settled
      if (settlement) this.counts[settlement]++
      return settlement
    }
    return {
      ...operations,
      due: async (request) => {
        const page = await operations.due({ ...request, dueForMs })
        this.hasLooked = true
        return page
      },
      claim: async (row) => {
        this.unclaimed.add(row.id)
        const outcome = await operations.claim(row)
        this.unclaimed.delete(row.id)
        if (outcome.kind === "unreadable") this.counts.deadLettered++
        return outcome
      },
      release: (claim) => counted(operations.release(claim)),
      complete: (claim) => counted(operations.complete(claim)),
      fail: (claim, error) => counted(operations.fail(claim, error)),
      recover: async (row) => {
        const settlement = await counted(operations.recover(row))
        this.hasLooked = true
        return settlement
      },
    }
  }
}
