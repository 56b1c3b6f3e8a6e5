/**
 * The model of a whole history: the table, the workers, the clocks; and what each step must lead to. Workers act as the
 * adapter's do: read the index, claim what they have read, settle what they have claimed.
 */
import { LEASE_MS, type Outcome, type Projection, START, WORKERS } from "./circumstances.ts"
import { Death, ModelWire } from "./model-wire.ts"
import { ModelWorker } from "./model-worker.ts"
import type { EventStep, Step } from "./step.ts"
import { apply, type Table, type Write } from "./table-model.ts"

export class World {
  private now = START
  private readonly wire = new ModelWire()
  private readonly workers: ModelWorker[]

  constructor(private readonly projection: Projection) {
    this.workers = Array.from({ length: WORKERS }, () => this.newWorker())
  }

  get table(): Table {
    return this.wire.table
  }

  worker(index: number): ModelWorker {
    return this.workers[index] as ModelWorker
  }

  /** Whether a step makes sense now. */
  allows(step: Step): boolean {
    switch (step.do) {
      case "claim":
        return this.worker(step.worker).due.has(step.id)
      case "recover":
        return this.worker(step.worker).stuck.has(step.id)
      case "complete":
      case "fail":
      case "release":
        return this.worker(step.worker).holds.has(step.id)
      case "renew": {
        // A worker whose clock was set back leaves a lease alone that is long enough.
        const lease = this.worker(step.worker).holds.get(step.id)?.lease
        return lease !== undefined && this.worker(step.worker).clock() + LEASE_MS > lease.leaseEndsAt
      }
      case "late":
        return step.write < this.wire.past.length
      case "delete":
        return this.table.has(step.id)
      case "damage": {
        const item = this.table.get(step.id)
        return item !== undefined && item.status !== "completed" && !item.isDamaged
      }
      default:
        return true
    }
  }

  /** Takes a step. */
  take(step: Step): Outcome {
    this.wire.fates = "fates" in step ? [...(step.fates ?? [])] : []
    this.wire.reports = []
    try {
      return { result: this.resultOf(step), reports: this.wire.reports }
    } catch (thrown) {
      if (!(thrown instanceof Death)) throw thrown
      this.die((step as EventStep).worker)
      return { result: "died", reports: [] }
    }
  }

  private resultOf(step: Step): string {
    switch (step.do) {
      case "publish":
      case "commit":
        return this.wire[step.do](step.ids.map((id) => ({ id, occurredAt: this.now + step.dueIn })))
      case "look":
        return this.worker(step.worker).look()
      case "late":
        return apply(this.table, this.wire.past[step.write] as Write)
      case "delete":
        this.table.delete(step.id)
        return "done"
      case "damage":
        Object.assign(this.table.get(step.id) ?? {}, { isDamaged: true })
        return "done"
      case "pass":
        this.now += step.ms
        return "done"
      case "skew":
        this.worker(step.worker).skew = step.ms
        return "done"
      case "die":
        this.die(step.worker)
        return "done"
      default:
        return this.worker(step.worker)[step.do](step.id)
    }
  }

  private die(worker: number): void {
    this.workers[worker] = this.newWorker()
  }

  private newWorker(): ModelWorker {
    return new ModelWorker(this.wire, () => this.now, this.projection)
  }
}
