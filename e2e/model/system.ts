/** What is tested against the model: workers that take steps on a real engine, and the table as it is then. */

import type { UpdateCommandInput } from "@aws-sdk/lib-dynamodb"
import { DeleteCommand, QueryCommand, ScanCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb"
import type { BusEvent } from "outbox-event-bus"
import { toPage } from "../../src/database/requests.ts"
import type { Item } from "../../src/item/event-item.ts"
import { numberOf } from "../../src/item/stored-value.ts"
import { dueEvents, failedEvents, type Row, stuckEvents } from "../../src/state/status-index.ts"
import { type Outcome, type SeenRow, START, showRows, WORKERS } from "./circumstances.ts"
import type { EventStep, Fate, Step } from "./step.ts"
import type { Wire } from "./wire.ts"

/** One worker's process. */
export interface SystemWorker {
  /** Errors that were reported since the step began. */
  readonly reports: string[]
  publish(events: BusEvent[]): Promise<string>
  commit(events: BusEvent[]): Promise<string>
  claim(row: Row): Promise<string>
  complete(id: string): Promise<string>
  fail(id: string): Promise<string>
  renew(id: string): Promise<string>
  release(id: string): Promise<string>
  recover(row: Row): Promise<string>
  retry(id: string): Promise<string>
  discard(id: string): Promise<string>
  die(): void
}

export interface Place {
  tableName: string
  statusIndexName: string
}

interface Slot {
  worker: SystemWorker
  skew: number
  due: Map<string, Row>
  stuck: Map<string, Row>
}

export class System {
  now = START
  private readonly slots: Slot[]

  constructor(
    private readonly wire: Wire,
    private readonly place: Place,
    private readonly newWorker: () => SystemWorker,
  ) {
    wire.reset()
    this.slots = Array.from({ length: WORKERS }, () => this.newSlot())
  }

  async take(step: Step): Promise<Outcome> {
    const index = "worker" in step ? step.worker : 0
    const slot = this.slots[index] as Slot
    const { worker } = slot
    worker.reports.length = 0
    const fates: readonly Fate[] | undefined = "fates" in step ? step.fates : undefined
    const act = () => this.wire.withFates(fates, () => this.act(step, slot))
    const result = await atTime(this.now + slot.skew, act)
    if (result === "died" || step.do === "die") {
      worker.die()
      this.slots[index] = this.newSlot()
    }
    return { result, reports: result === "died" ? [] : [...worker.reports] }
  }

  /** The table as it is: all items by id. */
  async items(): Promise<Map<string, Item>> {
    const { Items = [] } = await this.wire.documents.send(
      new ScanCommand({ TableName: this.place.tableName, ConsistentRead: true }),
    )
    return new Map(Items.map((item) => [item.id as string, item]))
  }

  async clear(): Promise<void> {
    for (const id of (await this.items()).keys()) await this.delete(id)
  }

  private async act(step: Step, slot: Slot): Promise<string> {
    switch (step.do) {
      case "publish":
      case "commit": {
        const occurredAt = new Date(this.now + step.dueIn)
        return slot.worker[step.do](
          step.ids.map((id) => ({ id, type: "model", payload: { id }, occurredAt })),
        )
      }
      case "look":
        return this.look(slot)
      case "claim":
        return slot.worker.claim(slot.due.get(step.id) as Row)
      case "recover":
        return slot.worker.recover(slot.stuck.get(step.id) as Row)
      case "late":
        return this.wire.sendLate(step.write)
      case "delete":
        return this.delete(step.id)
      case "damage":
        return this.damage(step.id)
      case "pass":
        this.now += step.ms
        return "done"
      case "skew":
        slot.skew = step.ms
        return "done"
      case "die":
        return "done"
      default:
        return slot.worker[(step as EventStep).do as "complete"](step.id)
    }
  }

  private async look(slot: Slot): Promise<string> {
    const page = { limit: 100 }
    const now = Date.now()
    const [due, stuck, failed] = await Promise.all([
      this.query(dueEvents(this.place, now, page)),
      this.query(stuckEvents(this.place, now, page)),
      this.query(failedEvents(this.place, page)),
    ])
    slot.due = new Map(due.map((row) => [row.id, row]))
    slot.stuck = new Map(stuck.map((row) => [row.id, row]))
    const seen = (rows: Row[]): SeenRow[] =>
      rows.map(({ id, gsiSortKey }) => ({ id, gsiSortKey: numberOf(gsiSortKey) ?? Number.NaN }))
    return showRows(seen(due), seen(stuck), seen(failed))
  }

  private async query(input: ReturnType<typeof failedEvents>): Promise<Row[]> {
    return toPage(await this.wire.documents.send(new QueryCommand(input))).rows
  }

  private async delete(id: string): Promise<string> {
    await this.wire.documents.send(new DeleteCommand({ TableName: this.place.tableName, Key: { id } }))
    return "done"
  }

  private async damage(id: string): Promise<string> {
    const input: UpdateCommandInput = {
      TableName: this.place.tableName,
      Key: { id },
      UpdateExpression: "REMOVE #type",
      ConditionExpression: "attribute_exists(id)",
      ExpressionAttributeNames: { "#type": "type" },
    }
    await this.wire.documents.send(new UpdateCommand(input))
    return "done"
  }

  private newSlot(): Slot {
    return { worker: this.newWorker(), skew: 0, due: new Map(), stuck: new Map() }
  }
}

/** Runs `work` with the clock at `now`, and without chance in backoffs. */
async function atTime<T>(now: number, work: () => Promise<T>): Promise<T> {
  const realNow = Date.now
  const realRandom = Math.random
  Date.now = () => now
  Math.random = () => 0.5
  try {
    return await work()
  } finally {
    Date.now = realNow
    Math.random = realRandom
  }
}
