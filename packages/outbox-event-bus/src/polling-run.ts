// One run of the poll loop, from start to stop: its pauses, and what may end them early.

import { timerDelay } from "./number-option.ts"

/** The state that a poll loop shares with those who stop or wake it. */
export class PollingRun {
  /** Resolves when the loop has left its last poll. */
  readonly ended: Promise<void>
  /** Marks the run as ended. */
  readonly end: () => void

  #stopped = false
  /** Somebody asked for a poll since the last one began. */
  #woken = false
  /** Ends the latest pause; without effect once that has ended. */
  #endPause: (() => void) | undefined
  #pauseIsWakeable = false

  constructor() {
    let end!: () => void
    this.ended = new Promise((resolve) => {
      end = resolve
    })
    this.end = end
  }

  /** No poll may begin any more. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Lets the loop end, at once if it pauses. */
  stop(): void {
    this.#stopped = true
    this.#endPause?.()
  }

  /** Asks for a poll: ends a wakeable pause, or skips the next one if none is under way. */
  wake(): void {
    this.#woken = true
    if (this.#pauseIsWakeable) this.#endPause?.()
  }

  /** The poll that begins now sees everything that `wake` was called for before. */
  beginPoll(): void {
    this.#woken = false
  }

  /** Waits for `delayMs`, or less if the run is stopped or, where that is allowed, woken. */
  async pause(delayMs: number, { wakeable }: { wakeable: boolean }): Promise<void> {
    if (this.#stopped || (wakeable && this.#woken)) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timerDelay(delayMs))
      this.#pauseIsWakeable = wakeable
      this.#endPause = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
