// Owns one connection through the proxy: a socket to the client, one to the engine, and what is held between them.
import { connect, type Socket } from "node:net"
import { setTimeout as delay } from "node:timers/promises"

/** How a slow network is. */
export interface Slowness {
  /** Each piece of data comes so much later, in milliseconds. */
  latencyMs: number
  /**
   * How much comes through per connection and direction.
   *
   * @default no limit
   */
  bytesPerSecond?: number
}

export class ProxiedConnection {
  slowness: Slowness | undefined
  readonly #client: Socket
  readonly #engine: Socket
  #stalled: "nothing" | "everything" | "answers" = "nothing"
  #isHalfOpen = false

  constructor(client: Socket, target: URL, onClose: () => void) {
    this.#client = client
    this.#engine = connect({ host: target.hostname, port: Number(target.port), noDelay: true })
    client.setNoDelay(true)
    this.#pass(client, this.#engine)
    this.#pass(this.#engine, client)
    client.once("close", () => {
      this.#engine.destroy()
      onClose()
    })
    this.#engine.once("close", () => {
      if (!this.#isHalfOpen) client.destroy()
    })
  }

  set stalled(what: "nothing" | "everything" | "answers") {
    this.#stalled = what
    if (what === "everything") this.#client.pause()
    else this.#client.resume()
    if (what === "nothing") this.#engine.resume()
    else this.#engine.pause()
  }

  cut(): void {
    // A reset, not an orderly end: the other side is not to think that all is said.
    this.#client.resetAndDestroy()
    this.#engine.destroy()
  }

  halfOpen(): void {
    this.#isHalfOpen = true
    this.#engine.destroy()
  }

  #pass(from: Socket, to: Socket): void {
    let sent: Promise<void> = Promise.resolve()
    const isHeld = () =>
      this.#stalled === "everything" || (this.#stalled === "answers" && from === this.#engine)
    from.on("error", () => {})
    from.on("data", (data: Buffer) => {
      // What a half-open connection is told, nobody hears.
      if (this.#isHalfOpen) return
      const { slowness } = this
      if (slowness === undefined) {
        sent = sent.then(() => void to.write(data))
        return
      }
      const transferMs = slowness.bytesPerSecond ? (1000 * data.length) / slowness.bytesPerSecond : 0
      sent = sent.then(() => delay(slowness.latencyMs + transferMs)).then(() => void to.write(data))
    })
    from.on("end", () => {
      if (!this.#isHalfOpen && !isHeld()) sent = sent.then(() => void to.end())
    })
  }
}
