// Owns the carrier of the demo: a small HTTP server that misbehaves as told, and the list of the parcels it has booked.
import { once } from "node:events"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { setTimeout as delay } from "node:timers/promises"

/** Slow enough to watch. */
const USUAL_RESPONSE_MS = 70

export interface Parcel {
  parcel: string
  orderId: string
}

interface Mischief {
  /** How many times it returns 503 for an order before it works. */
  outages: Record<string, number>
  unknownPostcode: string
  /** The order whose first booking gets no response. */
  unanswered: string
}

export class CarrierSimulation {
  /** By idempotency key. */
  readonly #booked = new Map<string, Parcel>()
  readonly #outages: Map<string, number>
  readonly #mischief: Mischief
  readonly #server: Server
  #isLeavingUnanswered = false

  constructor(mischief: Mischief) {
    this.#mischief = mischief
    this.#outages = new Map(Object.entries(mischief.outages))
    this.#server = createServer((request, response) => {
      this.#respond(request, response).catch((error: unknown) => response.destroy(error as Error))
    })
  }

  /** @returns its URL */
  async start(): Promise<string> {
    this.#server.listen(0, "127.0.0.1")
    await once(this.#server, "listening")
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, "close")
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  /** Whether a relay is waiting for the response to a booking that was made. */
  get isLeavingUnanswered(): boolean {
    return this.#isLeavingUnanswered
  }

  get parcels(): Parcel[] {
    return [...this.#booked.values()]
  }

  async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const key = String(request.headers["idempotency-key"])
    const { orderId, postcode } = JSON.parse(await text(request)) as { orderId: string; postcode: string }
    await delay(USUAL_RESPONSE_MS)
    const outages = this.#outages.get(orderId) ?? 0
    if (outages > 0) {
      this.#outages.set(orderId, outages - 1)
      return send(response, 503, { error: "out of order" })
    }
    if (postcode === this.#mischief.unknownPostcode) {
      return send(response, 422, { error: `no such postcode ${postcode}` })
    }
    const known = this.#booked.get(key)
    if (known) return send(response, 200, known)
    const parcel = { parcel: `P-${this.#booked.size + 501}`, orderId }
    this.#booked.set(key, parcel)
    if (orderId !== this.#mischief.unanswered) return send(response, 201, parcel)
    this.#isLeavingUnanswered = true
    response.once("close", () => {
      this.#isLeavingUnanswered = false
    })
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
}
