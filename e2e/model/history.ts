/** Runs a history on the model and on a system side by side, and compares them after every step. */
import assert from "node:assert/strict"
import { numberOf } from "../../src/item/stored-value.ts"
import { IDS, LEASE_MS, type Projection } from "./circumstances.ts"
import { outboxWorker } from "./outbox-worker.ts"
import { Promises } from "./promises.ts"
import type { Step } from "./step.ts"
import { type Place, System } from "./system.ts"
import type { ModelItem } from "./table-model.ts"
import type { Wire } from "./wire.ts"
import { World } from "./world.ts"

export interface Setting {
  projection: Projection
}

/** Where histories are run. */
export interface Laboratory {
  wire: Wire
  /** An empty table with an index of each kind. */
  places: Record<Projection, Place>
}

const SENDS_NOTHING: ReadonlySet<Step["do"]> = new Set(["pass", "skew", "die"])
/** More rounds than any event can need to be settled. */
const MAX_ROUNDS = 10

export class History {
  readonly world: World
  readonly steps: Step[] = []
  private readonly system: System
  private readonly promises = new Promises()
  /** Which claim of the model a token of the engine belongs to. */
  private readonly tokens = new Map<string, string>()
  private items = new Map<string, Record<string, unknown>>()

  constructor({ wire, places }: Laboratory, { projection }: Setting) {
    const place = places[projection]
    this.world = new World(projection)
    this.system = new System(wire, place, () => outboxWorker(wire, place))
  }

  async begin(): Promise<void> {
    await this.system.clear()
  }

  /** Takes a step on both, compares, and checks every promise. */
  async take(step: Step): Promise<void> {
    this.steps.push(step)
    const held = this.heldToken(step)
    const expected = this.world.take(step)
    const actual = await this.system.take(step)
    assert.deepEqual(actual, expected, "the step came to something else than in the model")
    if (SENDS_NOTHING.has(step.do)) return
    const before = this.items
    this.items = await this.system.items()
    this.compareItems()
    this.promises.check(step, actual, before, this.items, held)
  }

  /** Afterwards, a worker that meets no trouble settles everything: nothing was lost. */
  async settleAll(): Promise<void> {
    const { world } = this
    const isOpen = () =>
      [...world.table.values()].some(({ status }) => status === "created" || status === "active")
    await this.take({ do: "die", worker: 0 })
    for (let round = 0; isOpen(); round++) {
      assert(round < MAX_ROUNDS, "everything published is settled in the end")
      // Longer than any lease, backoff or skew.
      await this.take({ do: "pass", ms: 10 * LEASE_MS })
      await this.take({ do: "look", worker: 0 })
      for (const id of IDS) {
        await this.takeIfAllowed({ do: "recover", worker: 0, id })
        await this.takeIfAllowed({ do: "claim", worker: 0, id })
        await this.takeIfAllowed({ do: "complete", worker: 0, id })
      }
    }
  }

  private async takeIfAllowed(step: Step): Promise<void> {
    if (this.world.allows(step)) await this.take(step)
  }

  private heldToken(step: Step): string | undefined {
    if (!("worker" in step) || !("id" in step)) return undefined
    const token = this.world.worker(step.worker).holds.get(step.id)?.lease.token
    return token && this.tokens.get(token)
  }

  private compareItems(): void {
    const ids = new Set([...this.items.keys(), ...this.world.table.keys()])
    for (const id of ids) {
      const expected = this.world.table.get(id)
      this.learnToken(expected?.claimToken, this.items.get(id)?.claimToken)
      assert.deepEqual(this.actual(id), expected && this.comparable(expected), `the item ${id}`)
    }
  }

  /** The first time that the model's item has a new claim, the engine's token is that claim's. */
  private learnToken(claim: string | undefined, token: unknown): void {
    if (claim === undefined || typeof token !== "string" || this.tokens.has(claim)) return
    assert(![...this.tokens.values()].includes(token), "each claim has a token of its own")
    this.tokens.set(claim, token)
  }

  private comparable({ isDamaged, claimToken, ...item }: ModelItem) {
    return { ...item, isDamaged: isDamaged ?? false, claimToken: claimToken && this.tokens.get(claimToken) }
  }

  private actual(id: string) {
    const item = this.items.get(id)
    if (!item) return undefined
    const numbers = ["gsiSortKey", "startedOn", "completedOn", "nextRetryAt", "crashCount"].flatMap((name) =>
      item[name] === undefined ? [] : [[name, numberOf(item[name])]],
    )
    return {
      ...Object.fromEntries(numbers),
      status: item.status,
      occurredAt: Date.parse(String(item.occurredAt)),
      retryCount: numberOf(item.retryCount),
      ...(item.lastError !== undefined && { lastError: kindOfError(String(item.lastError)) }),
      isDamaged: !("type" in item),
      claimToken: item.claimToken,
    }
  }
}

function kindOfError(message: string): string {
  if (message === "Processing timeout") return "timeout"
  return message.startsWith("Item ") ? "unreadable" : message
}

/** Runs the steps of a history, leaving out those that make no sense, and then settles everything. */
export async function replay(
  laboratory: Laboratory,
  setting: Setting,
  steps: readonly Step[],
): Promise<void> {
  const history = new History(laboratory, setting)
  await history.begin()
  for (const step of steps) if (history.world.allows(step)) await history.take(step)
  await history.settleAll()
}
