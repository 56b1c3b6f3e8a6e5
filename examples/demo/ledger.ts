// Owns what is known of the events from what was seen while they went their way: it counts, the tables are not asked.
import type { FailedBusEvent } from "outbox-event-bus"
import type { RelayLog } from "../order-service/relay.ts"

/** The reason that the adapter gives when an event's lease ended with no word from its relay. */
export const PROCESSING_TIMEOUT = "Processing timeout"

export class Ledger {
  readonly placed: string[] = []
  /** Order ids of those that could not be placed. */
  readonly refused: string[] = []
  /** The order in whose event a relay was killed. */
  killedAt: string | undefined
  /** What getFailedEvents() listed before it was re-driven: event id and number of failed attempts. */
  readonly redriven = new Map<string, number>()
  /** The rest: event ids. */
  readonly delivered = new Set<string>()
  readonly recovered = new Set<string>()
  readonly deadLettered = new Set<string>()
  /** Attempts of handlers that failed and were followed by another. */
  retries = 0
  readonly #attemptsOf = new Map<string, number>()
  readonly #shippedOrders = new Set<string>()
  readonly #handledBy = new Map<string, string>()
  readonly #ready = new Set<string>()

  /** Takes down what a relay has logged. */
  note({ msg, relay, eventId = "", orderId = "", reason }: RelayLog): void {
    if (msg === "started") this.#ready.add(relay)
    if (msg === "handling") {
      this.#handledBy.set(orderId, relay)
      this.#attemptsOf.set(eventId, this.attemptsOf(eventId) + 1)
    }
    if (msg === "shipped" || msg === "shipped before") {
      this.delivered.add(eventId)
      this.#shippedOrders.add(orderId)
    }
    if (msg === "dead letter") this.deadLettered.add(eventId)
    if (msg === "failed" && reason === PROCESSING_TIMEOUT) this.recovered.add(eventId)
    else if (msg === "failed") this.retries++
  }

  noteRedrive(deadLetters: readonly Pick<FailedBusEvent, "id" | "retryCount">[]): void {
    for (const { id, retryCount } of deadLetters) {
      this.redriven.set(id, retryCount)
      this.#attemptsOf.delete(id)
    }
  }

  isReady(relay: string): boolean {
    return this.#ready.has(relay)
  }

  isShipped(orderId: string): boolean {
    return this.#shippedOrders.has(orderId)
  }

  /** The relay that handles or has handled the order's event, the last one if there were several. */
  handlerOf(orderId: string): string | undefined {
    return this.#handledBy.get(orderId)
  }

  attemptsOf(eventId: string): number {
    return this.#attemptsOf.get(eventId) ?? 0
  }
}
