// Owns what the demo has seen of the events: it counts log lines, and never reads the tables.
import type { FailedBusEvent } from "outbox-event-bus"
import type { RelayLog } from "../order-service/relay.ts"

/** The adapter's error for an event whose lease expired without an outcome. */
export const PROCESSING_TIMEOUT = "Processing timeout"

export class Ledger {
  readonly placed: string[] = []
  /** Ids of orders that could not be placed. */
  readonly refused: string[] = []
  /** The order whose event a relay was handling when it was killed. */
  killedAt: string | undefined
  /** What getFailedEvents() listed before it was retried: event id and number of failed attempts. */
  readonly redriven = new Map<string, number>()
  /** Event ids, from here on. */
  readonly delivered = new Set<string>()
  readonly recovered = new Set<string>()
  readonly deadLettered = new Set<string>()
  /** Failed attempts that were followed by another one. */
  retries = 0
  readonly #attemptsOf = new Map<string, number>()
  readonly #shippedOrders = new Set<string>()
  readonly #handledBy = new Map<string, string>()
  readonly #ready = new Set<string>()

  /** Records a line of a relay's log. */
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
