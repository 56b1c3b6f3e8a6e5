// Owns worker processes that tests can kill, freeze, thaw and give another clock.
import { type ChildProcess, fork, type Serializable } from "node:child_process"
import { fileURLToPath } from "node:url"

const PRELOAD = fileURLToPath(new URL("./worker-preload.cjs", import.meta.url))
const REAPER = fileURLToPath(new URL("./worker-reaper.cjs", import.meta.url))

/** Options of {@link startWorkerProcess}. */
export interface WorkerProcessOptions {
  /** The module to run: a path, or a `file:` URL. */
  entry: string | URL
  args?: readonly string[]
  /**
   * Options for Node, such as `["--import", "tsx"]`.
   *
   * @default those of this process
   */
  execArgv?: readonly string[]
  /** Added to the environment of this process. */
  env?: Record<string, string>
  /**
   * How far its `Date` is ahead of this machine's, in milliseconds; behind, if negative. Timers are not affected.
   *
   * @default 0
   */
  clockOffsetMs?: number
  /** Called with each message that the worker sends by `process.send`. */
  onMessage?: (message: unknown) => void
}

/** How a worker ended. */
export interface WorkerEnd {
  code: number | null
  signal: NodeJS.Signals | null
  /** The end of what it wrote to stderr. */
  stderr: string
}

/** A worker process. It ends with the process that started it, however that ends. */
export interface WorkerProcess {
  readonly pid: number
  readonly isFrozen: boolean
  readonly hasEnded: boolean
  readonly ended: Promise<WorkerEnd>
  /** Gives the worker a message: `process.on("message")`. */
  send(message: Serializable): void
  /** SIGKILL: it gets no chance to do anything more. Works on a frozen one too. */
  kill(): Promise<WorkerEnd>
  /** SIGSTOP: it stands still, and doesn't know it. Its connections stay open. */
  freeze(): void
  /** SIGCONT */
  thaw(): void
  /** Moves its clock, by a message: it takes effect when the worker next returns to its event loop. */
  setClock(offsetMs: number): void
}

const STDERR_TAIL_CHARACTERS = 8_000

/** Starts a module as a worker process. */
export function startWorkerProcess(options: WorkerProcessOptions): WorkerProcess {
  const { entry, args = [], execArgv = process.execArgv, env = {}, clockOffsetMs = 0, onMessage } = options
  const path = entry instanceof URL || entry.startsWith("file:") ? fileURLToPath(entry) : entry
  const child = fork(path, args, {
    execArgv: ["--require", PRELOAD, ...execArgv],
    env: { ...process.env, ...env, WORKER_CLOCK_OFFSET_MS: String(clockOffsetMs) },
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  })
  const { pid } = child
  if (pid === undefined) throw new Error(`could not start ${path}`)
  reaper().send({ started: pid })

  let stderr = ""
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-STDERR_TAIL_CHARACTERS)
  })
  if (onMessage) child.on("message", onMessage)
  // A message to a worker that has just died is lost, like any other.
  child.on("error", () => {})
  let hasEnded = false
  let isFrozen = false
  const ended = new Promise<WorkerEnd>((resolve) => {
    child.once("close", (code, signal) => {
      hasEnded = true
      reaper().send({ ended: pid })
      resolve({ code, signal, stderr })
    })
  })
  const signal = (name: NodeJS.Signals) => {
    if (!hasEnded) child.kill(name)
  }
  const send = (message: Serializable) => {
    if (child.connected) child.send(message, () => {})
  }
  return {
    pid,
    ended,
    get isFrozen() {
      return isFrozen
    },
    get hasEnded() {
      return hasEnded
    },
    send,
    kill() {
      signal("SIGKILL")
      return ended
    },
    freeze() {
      isFrozen = true
      signal("SIGSTOP")
    },
    thaw() {
      isFrozen = false
      signal("SIGCONT")
    },
    setClock: (offsetMs) => send({ workerClockOffsetMs: offsetMs }),
  }
}

let reaping: ChildProcess | undefined

/** One for all workers of this process. It doesn't keep the process running. */
function reaper(): ChildProcess {
  if (reaping?.connected) return reaping
  // A group of its own: Ctrl-C in a terminal must not take it away before the others have ended.
  reaping = fork(REAPER, [], { execArgv: [], detached: true, stdio: ["ignore", "ignore", "ignore", "ipc"] })
  reaping.unref()
  reaping.channel?.unref()
  return reaping
}
