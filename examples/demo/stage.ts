// Owns everything that must be gone when the demo ends, however it ends: the database, the relay processes, the carrier;
// and the reasons to end early: Ctrl-C, a relay or the database that dies, and the deadline.
import { setTimeout as delay } from "node:timers/promises"
import { type RunningDynamoDB, startDynamoDB } from "@outbox-event-bus/dynamodb-dev"
import { RelayProcess, type RelayProcessOptions } from "./relay-process.ts"

const LOOK_EVERY_MS = 20
const LOOK_AT_PARENT_EVERY_MS = 250

export class InterruptedError extends Error {
  override readonly name = "InterruptedError"
}

export class Stage {
  /** Is aborted, with the reason, when the play can't go on. */
  readonly #breakOff = new AbortController()
  readonly #closing: (() => Promise<unknown>)[] = []
  readonly #timers: NodeJS.Timeout[] = []
  #waitingUntil: string | undefined
  readonly #onSignal = (signal: NodeJS.Signals) => {
    // The second Ctrl-C waits for nothing; children and the database still end with this process.
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
      if (process.ppid !== parent) this.#abort(new InterruptedError("npm has ended"))
    }
    if (process.env.npm_lifecycle_event !== undefined) {
      this.#timers.push(setInterval(onLook, LOOK_AT_PARENT_EVERY_MS))
    }
  }

  /**
   * Runs the play to its end, or until something breaks it off: then nobody waits any longer, not even for a database that
   * has stopped answering.
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
    void database.ended?.then(() => this.#abort(new Error(`${database.engine} ended by itself`)))
    return database
  }

  relay(options: Omit<RelayProcessOptions, "onCrash">): RelayProcess {
    const relay = new RelayProcess({ ...options, onCrash: (error) => this.#abort(error) })
    this.#closing.push(() => relay.kill())
    return relay
  }

  /** Has `close` called when the stage is closed; the last ones first. */
  onClose(close: () => Promise<unknown>): void {
    this.#closing.push(close)
  }

  /** Waits until something is the case, for as long as the play goes on. */
  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    this.#waitingUntil = what
    while (!(await isSo())) await this.pause(LOOK_EVERY_MS)
    this.#waitingUntil = undefined
  }

  /** A pause, for as long as the play goes on. Between two customers it is for those who watch: nothing relies on it. */
  async pause(ms: number): Promise<void> {
    await delay(ms)
    this.#breakOff.signal.throwIfAborted()
  }

  /** Ends all that was started and resolves when it is gone. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    for (const close of this.#closing.splice(0).reverse()) await close()
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(signal, this.#onSignal)
  }

  #abort(reason: Error): void {
    if (this.#waitingUntil !== undefined) reason.message += `\nIt was waiting until ${this.#waitingUntil}.`
    this.#breakOff.abort(reason)
  }
}
