// Owns everything that must be gone when the demo exits: the database, the relay processes, the carrier; and the reasons
// to abort: Ctrl-C, a relay or the database that exits, and the deadline.
import { setTimeout as delay } from "node:timers/promises"
import { type RunningDynamoDB, startDynamoDB } from "@outbox-event-bus/dynamodb-dev"
import { RelayProcess, type RelayProcessOptions } from "./relay-process.ts"

const LOOK_EVERY_MS = 20
const LOOK_AT_PARENT_EVERY_MS = 250

export class InterruptedError extends Error {
  override readonly name = "InterruptedError"
}

export class Stage {
  /** Aborted, with the reason, when the demo can't go on. */
  readonly #breakOff = new AbortController()
  readonly #closing: (() => Promise<unknown>)[] = []
  readonly #timers: NodeJS.Timeout[] = []
  #waitingUntil: string | undefined
  readonly #onSignal = (signal: NodeJS.Signals) => {
    // The second Ctrl-C exits at once; the children and the database still exit with this process.
    if (this.#breakOff.signal.aborted) process.exit(130)
    this.#abort(new InterruptedError(`interrupted by ${signal}`))
  }

  constructor(deadlineMs: number) {
    const seconds = deadlineMs / 1000
    const onDeadline = () => this.#abort(new Error(`the demo took longer than ${seconds} s`))
    this.#timers.push(setTimeout(onDeadline, deadlineMs))
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, this.#onSignal)
    // A signal to npm ends the shell between npm and this process, and doesn't reach this process.
    const parent = process.ppid
    const onLook = () => {
      if (process.ppid !== parent) this.#abort(new InterruptedError("npm has exited"))
    }
    if (process.env.npm_lifecycle_event !== undefined) {
      this.#timers.push(setInterval(onLook, LOOK_AT_PARENT_EVERY_MS))
    }
  }

  /**
   * Runs the demo until it ends or something aborts it. Then it no longer waits for anything, not even for a database
   * that has stopped responding.
   */
  async run<T>(play: () => Promise<T>): Promise<T> {
    const { signal } = this.#breakOff
    const brokenOff = new Promise<never>((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true })
    })
    return await Promise.race([play(), brokenOff])
  }

  async database(): Promise<RunningDynamoDB> {
    const database = await startDynamoDB()
    this.#closing.push(() => database.stop())
    void database.ended?.then(() => this.#abort(new Error(`${database.engine} exited unexpectedly`)))
    return database
  }

  relay(options: Omit<RelayProcessOptions, "onCrash">): RelayProcess {
    const relay = new RelayProcess({ ...options, onCrash: (error) => this.#abort(error) })
    this.#closing.push(() => relay.kill())
    return relay
  }

  /** Registers `close` to be called when the stage is closed, in reverse order. */
  onClose(close: () => Promise<unknown>): void {
    this.#closing.push(close)
  }

  /** Waits for a condition, or until the demo is aborted. */
  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    this.#waitingUntil = what
    while (!(await isSo())) await this.pause(LOOK_EVERY_MS)
    this.#waitingUntil = undefined
  }

  /** Pauses, or throws when the demo is aborted. Between two customers, the pause is for the audience: nothing relies on it. */
  async pause(ms: number): Promise<void> {
    await delay(ms)
    this.#breakOff.signal.throwIfAborted()
  }

  /** Stops everything that was started; resolves when it is gone. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    for (const close of this.#closing.splice(0).reverse()) await close()
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(signal, this.#onSignal)
  }

  #abort(reason: Error): void {
    if (this.#waitingUntil !== undefined) reason.message += `\nIt was waiting for: ${this.#waitingUntil}.`
    this.#breakOff.abort(reason)
  }
}
