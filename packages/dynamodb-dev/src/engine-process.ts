// Owns an engine that is a process on this machine: its port, its watchdog, whether it is ready, and its end.
import { type ChildProcess, fork } from "node:child_process"
import { type EventEmitter, once } from "node:events"
import { createServer, Socket } from "node:net"
import { fileURLToPath } from "node:url"
import getPort from "get-port"
import type { EngineStartOptions, RunningDynamoDB } from "./engine.ts"
import type { ConcreteEngineName } from "./engine-names.ts"
import { untilAnswering } from "./readiness.ts"

const WATCHDOG = fileURLToPath(new URL("./watchdog.cjs", import.meta.url))

/** How many free ports are tried: another process may take one between the moment it is found and used. */
const PORT_ATTEMPTS = 5

/** How much of the engine's output is kept for the error. */
const OUTPUT_TAIL_CHARACTERS = 4_000

/** How to run an engine, and how to understand what it prints. */
export interface EngineCommand {
  engine: ConcreteEngineName
  file: string
  args(port: number): string[]
  cwd?: string
  env?: Record<string, string>
  /** The only address it listens on; left out when it listens on all of them. */
  host?: string
  /**
   * What it prints once the port is its own. An answer from the port is not enough: it may come from another DynamoDB
   * that took the port first.
   */
  listening: RegExp
  /** What it prints when the port is another's. DynamoDB Local goes on running then, without ever answering. */
  portTaken: RegExp
}

/** The port can't be had: it is another's, or not ours to open. */
export class PortTakenError extends Error {
  override readonly name = "PortTakenError"
}

/** Starts the engine, on another port if the first is taken meanwhile, and waits until it answers. */
export async function startEngineProcess(
  command: EngineCommand,
  options: EngineStartOptions,
): Promise<RunningDynamoDB> {
  if (options.port !== undefined) {
    await requireFree(options.port)
    return await launch(command, options.port, options.readyTimeoutMs)
  }
  for (let attempt = 1; ; attempt++) {
    const port = await getPort(command.host === undefined ? {} : { host: command.host })
    try {
      return await launch(command, port, options.readyTimeoutMs)
    } catch (error) {
      if (!(error instanceof PortTakenError) || attempt === PORT_ATTEMPTS) throw error
    }
  }
}

/** A second DynamoDB could bind another address of the same port on some systems, and clients would reach either. */
async function requireFree(port: number): Promise<void> {
  const server = createServer()
  try {
    server.listen({ port, host: "127.0.0.1", exclusive: true })
    await once(server, "listening")
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new PortTakenError(code === "EADDRINUSE" ? `port ${port} is taken` : `port ${port}: ${message}`)
  } finally {
    server.close()
  }
}

async function launch(command: EngineCommand, port: number, timeoutMs: number): Promise<RunningDynamoDB> {
  const engine = new EngineProcess(command, port)
  const endpoint = `http://127.0.0.1:${port}`
  try {
    await untilAnswering(endpoint, { timeoutMs, mayAsk: () => engine.isListening() })
  } catch (error) {
    await engine.stop()
    if (error instanceof PortTakenError) throw error
    throw new Error(`${(error as Error).message}${engine.outputForError()}`, { cause: error })
  }
  const pid = engine.pid
  return {
    engine: command.engine,
    endpoint,
    ...(pid === undefined ? {} : { pid }),
    ended: engine.gone,
    stop: () => engine.stop(),
  }
}

/** The engine and the watchdog between it and us. */
class EngineProcess {
  pid: number | undefined
  readonly gone: Promise<void>
  readonly #command: EngineCommand
  readonly #port: number
  readonly #watchdog: ChildProcess
  #hasGone = false
  #output = ""

  constructor(command: EngineCommand, port: number) {
    this.#command = command
    this.#port = port
    this.#watchdog = fork(WATCHDOG, [command.file, ...command.args(port)], {
      ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
      env: { ...environmentForChild(), ...command.env },
      execArgv: [],
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      // A group of its own: Ctrl-C reaches this process alone, which may still want its database to end well.
      detached: true,
    })
    // Not the event "close": Node doesn't emit it when it is this side that disconnects.
    this.gone = Promise.race([
      Promise.all([emitted(this.#watchdog, "exit"), ...this.#outputs().map((out) => emitted(out, "close"))]),
      emitted(this.#watchdog, "error"),
    ]).then(() => {
      this.#hasGone = true
    })
    this.#watchdog.on("error", (error) => this.#keepOutput(`${error.message}\n`))
    this.#watchdog.on("message", (message: { pid: number }) => {
      this.pid = message.pid
    })
    // A watchdog ends after its engine, unless it was killed itself.
    this.#watchdog.once("exit", (_code, signal) => {
      if (signal !== null && this.pid !== undefined) killIfThere(this.pid)
    })
    for (const stream of this.#outputs()) {
      stream.setEncoding("utf8").on("data", (text: string) => this.#keepOutput(text))
    }
    this.#holdEventLoop(false)
  }

  /** Whether the engine has its port. Throws when it can no longer get it. */
  isListening(): boolean {
    if (this.#command.portTaken.test(this.#output)) throw new PortTakenError(`port ${this.#port} is taken`)
    if (this.#hasGone) throw new Error("the process ended before it was ready")
    return this.pid !== undefined && this.#command.listening.test(this.#output)
  }

  outputForError(): string {
    return this.#output === "" ? "" : `; it printed:\n${this.#output.trim()}`
  }

  async stop(): Promise<void> {
    this.#holdEventLoop(true)
    // The same way as when this process is killed: there is one way to end an engine, and every stop() tests it.
    if (this.#watchdog.connected) this.#watchdog.disconnect()
    await this.gone
  }

  /** Node makes them sockets; they are missing when it had no file descriptors left for them. */
  #outputs(): Socket[] {
    return [this.#watchdog.stdout, this.#watchdog.stderr].filter((stream) => stream instanceof Socket)
  }

  #keepOutput(text: string): void {
    this.#output = (this.#output + text).slice(-OUTPUT_TAIL_CHARACTERS)
  }

  /** A forgotten stop() must not keep the program from ending; a stop() under way must. */
  #holdEventLoop(hold: boolean): void {
    const how = hold ? "ref" : "unref"
    this.#watchdog[how]()
    this.#watchdog.channel?.[how]()
    for (const stream of this.#outputs()) stream[how]()
  }
}

/** Our environment without what is meant for this very Node process: loaders, the inspector, coverage. */
function environmentForChild(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_V8_COVERAGE: _coverage, ...environment } = process.env
  return environment
}

const emitted = (emitter: EventEmitter, event: string) =>
  new Promise<void>((resolve) => emitter.once(event, () => resolve()))

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // Gone already.
  }
}
