/** Relays on one table, under chance: a scenario says what happens to them, and each claim is watched. */
import type { BusEvent } from "outbox-event-bus"
import { vi } from "vitest"
import { seededChance } from "../../packages/dynamodb-dev/src/index.ts"
import type { EventOperations } from "../delivery/event-operations.ts"
import { Relay } from "../delivery/relay.ts"
import { EventTable, LEASE_MS } from "./event-operations.fixture.ts"
import { delay, NOW, passToNextTimer } from "./fake-clock.fixture.ts"
import { names } from "./relay.fixture.ts"

export interface Scenario {
  events: { crashCount: number; isLastAttempt: boolean; handlerMs: number; failures: number }[]
  relays: number
  concurrency: number
  batchSize: number
  pollMs: number
  /** The longest that each request takes to arrive, and again to be answered. */
  latencyMs: number
  /** The latest that the index shows what is due again. */
  indexLagMs: number
  /** When the first relay is stopped. */
  stopAfterMs: number | undefined
  /** Of all that is random within these bounds. */
  seed: number
}

/** A claim that a worker has won, and what became of it. */
export interface SeenClaim {
  readonly id: string
  readonly token: string
  readonly crashCount: number
  readonly isLastAttempt: boolean
  readonly hasFewAttempts: boolean
  readonly wonAt: number
  startedAt?: number
  hasEnded?: boolean
}

/** What every worker does, at any time: the evidence to the contrary, by the name of the promise. */
export type Promises = Record<string, (worker: Worker) => string[]>

const RETRY_AFTER_MS = 30
const POLL_INTERVAL_MS = 200
const LOOK_AGAIN_MS = { least: 100, most: 300 }
/** Far more than all handlers take one after the other. */
const GIVE_UP_AFTER_MS = 300_000

/** A relay that is polled as the delivery does it, and what it was seen to do. */
export class Worker {
  readonly life: ReturnType<EventTable["life"]>
  readonly startedAfterStop: string[] = []
  starts = 0
  polls = 0
  isStopping = false
  hasStopped = false
  private readonly relay: Relay
  private readonly claims: SeenClaim[] = []

  constructor(private readonly world: RandomRelays) {
    this.life = world.table.life()
    this.relay = new Relay(this.seenLife(), {
      ...world.scenario,
      maxRetries: 5,
      processingTimeoutMs: LEASE_MS,
    })
  }

  get scenario(): Scenario {
    return this.world.scenario
  }

  /** What it has claimed and not settled yet, and what runs. */
  get inHand(): SeenClaim[] {
    return this.claims.filter((claim) => isRunning(claim) || this.world.table.heldAs(claim))
  }

  async keepPolling(): Promise<void> {
    while (!this.isStopping) {
      this.polls++
      this.world.look()
      const until = performance.now() + this.scenario.pollMs
      const outcome = await this.relay.handleDue((event) => this.handle(event), until)
      // An unfinished one is followed by the next at once.
      if (outcome === "unsure") await delay(this.world.between(LOOK_AGAIN_MS.least, LOOK_AGAIN_MS.most))
      if (outcome === "done") await delay(POLL_INTERVAL_MS)
    }
  }

  async stop(): Promise<void> {
    this.isStopping = true
    await this.relay.stop()
    this.hasStopped = true
  }

  private async handle({ id }: BusEvent): Promise<void> {
    this.starts++
    if (this.isStopping) this.startedAfterStop.push(id)
    const claim = this.claims.findLast((won) => won.id === id) as SeenClaim
    claim.startedAt = Date.now()
    this.world.look()
    try {
      await this.world.work(id)
    } finally {
      claim.hasEnded = true
    }
  }

  private seenLife(): EventOperations {
    const { world, life } = this
    const request =
      <Arguments extends unknown[], Answer>(write: (...all: Arguments) => Promise<Answer>) =>
      async (...all: Arguments): Promise<Answer> => {
        // As time passes is not enough: what goes round in a circle may need none.
        world.look()
        await world.latency()
        const answer = await write(...all)
        await world.latency()
        return answer
      }
    const claim: EventOperations["claim"] = async (row) => {
      const outcome = await life.claim(row)
      if (outcome.kind === "won")
        this.claims.push({ ...outcome.claim, ...outcome.claim.lease, wonAt: Date.now() })
      return outcome
    }
    return {
      due: request(life.due),
      look: request(life.look),
      claim: request(claim),
      renew: request(life.renew),
      release: request(life.release),
      complete: request(life.complete),
      fail: request(life.fail),
      claimFailed: life.claimFailed,
      explained: async (error) => error,
      interrupted: life.interrupted,
    }
  }
}

export class RandomRelays {
  readonly table = new EventTable()
  readonly workers: Worker[]
  private readonly random: () => number
  private readonly failuresLeft = new Map<string, number>()
  private failure: Error | undefined

  constructor(
    readonly scenario: Scenario,
    private readonly promises: Promises,
  ) {
    vi.clearAllTimers()
    vi.setSystemTime(NOW)
    const chance = seededChance(scenario.seed)
    this.random = () => chance.next()
    vi.spyOn(Math, "random").mockImplementation(this.random)
    this.table.retryAfterMs = RETRY_AFTER_MS
    for (const [i, event] of scenario.events.entries()) {
      this.table.put({ ...event, id: this.ids[i] as string, dueAt: NOW - 10_000 + i })
    }
    this.delayIndex()
    this.workers = Array.from({ length: scenario.relays }, () => new Worker(this))
  }

  get ids(): string[] {
    return names(this.scenario.events.length)
  }

  /**
   * Polls until every event is completed, or every relay is told to stop; then stops them all.
   *
   * @throws as soon as a promise is broken, with its name.
   */
  async run(): Promise<void> {
    const { workers, scenario } = this
    for (const worker of workers) worker.keepPolling().catch((error) => this.fail(error))
    setInterval(() => this.table.recover(), LEASE_MS / 2)
    if (scenario.stopAfterMs !== undefined) setTimeout(() => workers[0]?.stop(), scenario.stopAfterMs)
    const isDelivered = () => this.table.in("completed").length === this.ids.length
    await this.passUntil(() => isDelivered() || workers.every(({ isStopping }) => isStopping))
    for (const worker of workers) void worker.stop()
    await this.passUntil(() => workers.every(({ hasStopped }) => hasStopped))
  }

  /** Whether all promises are kept at this moment. */
  look(): void {
    for (const worker of this.workers) {
      for (const [promise, evidenceIn] of Object.entries(this.promises)) {
        const evidence = evidenceIn(worker)
        if (evidence.length === 0) continue
        const who = `Relay ${this.workers.indexOf(worker)} after ${Date.now() - NOW} ms`
        throw this.fail(new Error(`Broken: ${promise}. ${who}: ${evidence.join(", ")}`))
      }
    }
  }

  /** What the handler of an event does. */
  async work(id: string): Promise<void> {
    const event = this.scenario.events[this.ids.indexOf(id)] as Scenario["events"][number]
    await this.takes(event.handlerMs)
    const left = this.failuresLeft.get(id) ?? event.failures
    this.failuresLeft.set(id, left - 1)
    if (left > 0) throw new Error("boom")
  }

  latency(): Promise<void> {
    return this.takes(this.between(0, this.scenario.latencyMs))
  }

  between(least: number, most: number): number {
    return least + Math.floor(this.random() * (most - least + 1))
  }

  /** The first failure is the one that tells. */
  private fail(error: Error): Error {
    this.failure ??= error
    return error
  }

  private async takes(ms: number): Promise<void> {
    if (ms > 0) await delay(ms)
  }

  private delayIndex(): void {
    const { index } = this.table
    const put = index.put.bind(index)
    index.put = (key) => {
      const show = () => {
        // The handler that outlasted its lease may have completed it meanwhile.
        if (this.table.events.get(key.id)?.status === "created") put(key)
      }
      setTimeout(show, this.between(0, this.scenario.indexLagMs))
    }
  }

  private async passUntil(isOver: () => boolean): Promise<void> {
    const giveUpAt = Date.now() + GIVE_UP_AFTER_MS
    while (!isOver() && Date.now() < giveUpAt) {
      await passToNextTimer()
      if (!this.failure) this.look()
      if (this.failure) throw this.failure
    }
  }
}

export function isRunning({ startedAt, hasEnded }: SeenClaim): boolean {
  return startedAt !== undefined && !hasEnded
}

/** Its handler has outlasted its lease. */
export function isOverdue({ startedAt }: SeenClaim): boolean {
  return startedAt !== undefined && Date.now() >= startedAt + LEASE_MS
}
