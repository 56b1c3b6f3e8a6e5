// Owns one relay as a child process: starting it, reading its log line by line, and ending it.
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import type { Readable } from "node:stream"
import { fileURLToPath } from "node:url"
import type { RelayLog } from "../order-service/relay.ts"

const RELAY = fileURLToPath(new URL("../order-service/relay.ts", import.meta.url))
const ERROR_TAIL_CHARACTERS = 2_000

export interface RelayProcessOptions {
  name: string
  env: NodeJS.ProcessEnv
  onLog: (line: RelayLog) => void
  /** Called when it exits although nobody stopped it. */
  onCrash: (error: Error) => void
}

export class RelayProcess {
  readonly name: string
  /** Resolves when it has exited and all its output has been read. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  readonly #child: ChildProcess
  #mayEnd = false
  #errorOutput = ""

  constructor({ name, env, onLog, onCrash }: RelayProcessOptions) {
    this.name = name
    this.#child = fork(RELAY, {
      env: { ...process.env, ...env, RELAY_NAME: name },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    })
    createInterface({ input: this.#child.stdout as Readable }).on("line", (line) => {
      const entry = parseLog(line)
      if (entry) onLog(entry)
      else this.#errorOutput += `${line}\n`
    })
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#errorOutput = (this.#errorOutput + text).slice(-ERROR_TAIL_CHARACTERS)
    })
    this.ended = once(this.#child, "close").then(([code, signal]) => {
      if (!this.#mayEnd) {
        const how = signal ?? `exit code ${code}`
        onCrash(new Error(`${name} exited unexpectedly (${how})\n${this.#errorOutput}`.trim()))
      }
      return { code, signal }
    })
    this.ended.catch((error: Error) => onCrash(error))
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Lets it finish its work. @returns its exit code */
  async stop(): Promise<number | null> {
    this.#mayEnd = true
    this.#child.kill("SIGTERM")
    return (await this.ended).code
  }

  /** Kills it; it gets no chance to clean up. */
  async kill(): Promise<void> {
    this.#mayEnd = true
    this.#child.kill("SIGKILL")
    await this.ended.catch(() => {})
  }
}

/** A killed process may leave half a line behind. */
function parseLog(line: string): RelayLog | undefined {
  try {
    return JSON.parse(line) as RelayLog
  } catch {
    return undefined
  }
}
