// The scene of one case: its store, its outboxes, what they delivered and reported, and how the case waits.

import assert from "node:assert/strict"
import { setTimeout as delay } from "node:timers/promises"
import { inspect } from "node:util"
import type { OutboxError } from "../errors.ts"
import type { BusEvent } from "../event.ts"
import type { IOutbox } from "../outbox.ts"
import type {
  ConformanceCapabilities,
  ConformanceStore,
  ConformanceSubject,
  ConformanceTransaction,
} from "./subject.ts"

const LOOK_EVERY_MS = 5
const MINUTE_MS = 60_000

type Handler = (event: BusEvent) => unknown

/** An outbox, and what it has done so far. */
export class Actor<T> {
  /** Every run of the handler, in order: repeated ones too. */
  readonly delivered: BusEvent[] = []
  readonly errors: OutboxError[] = []
  running = 0
  mostRunning = 0

  constructor(readonly outbox: IOutbox<T>) {}

  get ids(): string[] {
    return this.delivered.map(({ id }) => id)
  }

  /** Starts, or starts again; a handler that returns nothing succeeds. */
  start(handler: Handler = () => {}, onError: (error: OutboxError) => void = () => {}): void {
    this.outbox.start(
      async (event) => {
        this.delivered.push(event)
        this.mostRunning = Math.max(this.mostRunning, ++this.running)
        try {
          await handler(event)
        } finally {
          this.running--
        }
      },
      (error) => {
        this.errors.push(error)
        return onError(error)
      },
    )
  }

  /** How often the handler ran for an event. */
  runsOf(id: string): number {
    return this.ids.filter((delivered) => delivered === id).length
  }

  async failedIds(): Promise<string[]> {
    return (await this.outbox.getFailedEvents()).map(({ id }) => id)
  }
}

/** One promise, and how to see whether it is kept. */
export type SceneCase = {
  name: string
  /** Left out for outboxes that do not declare it. */
  when?: (capabilities: ConformanceCapabilities) => boolean
  run: <T>(scene: Scene<T>) => Promise<void>
}

/** Made anew for each case. */
export class Scene<T> {
  readonly #subject: ConformanceSubject<T>
  readonly #store: ConformanceStore<T>
  readonly #actors: Actor<T>[] = []
  readonly #gates: Gate[] = []
  #events = 0
  readonly #firstOccurredAt = Date.now() - MINUTE_MS

  constructor(subject: ConformanceSubject<T>, store: ConformanceStore<T>) {
    this.#subject = subject
    this.#store = store
  }

  get capabilities(): ConformanceCapabilities {
    return this.#subject.capabilities
  }

  /** Payloads that must come back as they were. */
  get payloads(): readonly unknown[] {
    return this.#subject.payloads ?? []
  }

  /** How often the handler runs for an event that always fails. */
  handlerRuns(maxRetries: number): number {
    return this.capabilities.handlerRuns === "maxRetries" ? maxRetries : maxRetries + 1
  }

  /** What the retry count of a dead letter may be: where the first run is counted apart, some count it and some don't. */
  deadLetterCounts(maxRetries: number): readonly number[] {
    return [maxRetries, this.handlerRuns(maxRetries)]
  }

  /** An outbox on the scene's store. */
  async actor(maxRetries = 3): Promise<Actor<T>> {
    const actor = new Actor(await this.#store.createOutbox({ maxRetries }))
    this.#actors.push(actor)
    return actor
  }

  async begin(): Promise<ConformanceTransaction<T>> {
    assert(this.#store.begin, "the store of this case can't begin a transaction")
    return this.#store.begin()
  }

  /** An event that is due, and occurred a little later than the one before. */
  event(properties: Partial<BusEvent> = {}): BusEvent {
    const n = this.#events++
    return {
      id: `event-${n}`,
      type: "conformance.tested",
      payload: { n },
      occurredAt: new Date(this.#firstOccurredAt + n * 10),
      ...properties,
    }
  }

  events(count: number): BusEvent[] {
    return Array.from({ length: count }, () => this.event())
  }

  /** A gate for handlers to wait at; it opens at the end of the case if not before. */
  gate(): Gate {
    const gate = closedGate()
    this.#gates.push(gate)
    return gate
  }

  /** Waits for something that must happen. */
  async until(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
    const { timeoutMs = 5000 } = this.#subject
    const deadline = performance.now() + timeoutMs
    while (!(await look())) {
      if (performance.now() > deadline) {
        const seen = this.#actors.map(({ ids, errors }) => ({ delivered: ids, errors: errors.map(String) }))
        assert.fail(`${what}: not within ${timeoutMs} ms. Seen: ${inspect(seen, { depth: 3 })}`)
      }
      await delay(LOOK_EVERY_MS)
    }
  }

  /** Waits until the handler has run for each of these events, by whichever of the actors. */
  async untilDelivered(events: readonly BusEvent[], ...actors: Actor<T>[]): Promise<void> {
    const missing = () => events.filter(({ id }) => actors.every((actor) => actor.runsOf(id) === 0))
    await this.until(`${events.length} events are delivered`, () => missing().length === 0)
  }

  /** Waits until exactly these events are dead letters. */
  async untilFailed(actor: Actor<T>, ...events: readonly BusEvent[]): Promise<void> {
    const expected = events.map(({ id }) => id).sort()
    await this.until(`dead letters are ${expected.join(", ") || "none"}`, async () => {
      const ids = await actor.failedIds()
      return ids.length === expected.length && ids.sort().every((id, i) => id === expected[i])
    })
  }

  /** Waits for what must not happen. */
  async quiet(): Promise<void> {
    await delay(this.#subject.quietMs ?? 150)
  }

  /** Rejects where `work` takes longer than anything may. */
  async inTime(what: string, work: Promise<unknown>): Promise<void> {
    let isDone = false
    const done = work.then(() => {
      isDone = true
    })
    await Promise.race([done, this.until(what, () => isDone)])
  }

  /** Ends the case, however it went. */
  async close(): Promise<void> {
    for (const gate of this.#gates) gate.open()
    // An outbox that does not stop must not keep the others' cases from running.
    const stopped = Promise.allSettled(this.#actors.map(({ outbox }) => outbox.stop()))
    await Promise.race([stopped, delay(this.#subject.timeoutMs ?? 5000, undefined, { ref: false })])
    await this.#store.close?.()
  }
}

/** What handlers wait at until the case lets them go on. */
export type Gate = { readonly passed: Promise<void>; readonly open: () => void }

function closedGate(): Gate {
  let open: () => void = () => {}
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { passed, open }
}

/** Every event exactly once. */
export function assertOnce(ids: readonly string[], expected: readonly BusEvent[]): void {
  assert.deepEqual(
    [...ids].sort(),
    expected.map(({ id }) => id).sort(),
    "each event is delivered exactly once",
  )
}
