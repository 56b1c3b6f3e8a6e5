// Gathers events until there are enough of them or the first has waited long enough; each is a promise of its batch's outcome.

import type { BusEvent } from "./event.ts"
import { timerDelay } from "./number-option.ts"

/** An event that waits for the outcome of its batch. */
export type BufferedEvent = {
  readonly event: BusEvent
  /** The batch has been handled. */
  readonly resolve: () => void
  /** The batch has failed for good. */
  readonly reject: (error: unknown) => void
}

/** A buffer in front of one handler. */
export class EventBuffer {
  readonly #size: number
  readonly #timeoutMs: number
  readonly #onFlush: (buffered: BufferedEvent[]) => void
  #buffered: BufferedEvent[] = []
  #timer: ReturnType<typeof setTimeout> | undefined

  /**
   * @param size - how many events fill it
   * @param timeoutMs - how long its first event waits at most, in milliseconds
   * @param onFlush - receives what was gathered; has to settle each event
   */
  constructor(size: number, timeoutMs: number, onFlush: (buffered: BufferedEvent[]) => void) {
    this.#size = size
    this.#timeoutMs = timeoutMs
    this.#onFlush = onFlush
  }

  /** Adds an event. The promise is settled with the outcome of the batch that the event goes into. */
  add(event: BusEvent): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#buffered.push({ event, resolve, reject })
      if (this.#buffered.length >= this.#size) this.#flush()
      else this.#timer ??= setTimeout(() => this.#flush(), timerDelay(this.#timeoutMs))
    })
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const buffered = this.#buffered
    this.#buffered = []
    this.#onFlush(buffered)
  }
}
