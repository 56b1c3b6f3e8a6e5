/** The workers of a scenario: starting, stopping, killing, freezing and misdating them, and remembering what was done. */
import { setTimeout as delay } from "node:timers/promises"
import {
  type Chance,
  type FaultPlan,
  type FaultyProxy,
  startFaultyProxy,
  startWorkerProcess,
  type WorkerProcess,
} from "../packages/dynamodb-dev/src/index.ts"
import { trueNow } from "./journal.ts"
import {
  type Invocation,
  type InvocationReply,
  SETTINGS_VARIABLE,
  type WorkerOrder,
  type WorkerSettings,
} from "./worker-settings.ts"

const ENTRY = new URL("./fleet-worker.ts", import.meta.url)
const READY_WITHIN_MS = 60_000
/** The bound of a stop: longest handler, and some seconds for a database that does not answer. */
const STOP_WITHIN_MS = 30_000

/** What differs from worker to worker. */
export interface WorkerTraits {
  version?: WorkerSettings["version"]
  concurrency?: number
  clockOffsetMs?: number
  faults?: FaultPlan
  /** Reaches the database by a proxy of its own. */
  isProxied?: boolean
  isFunction?: boolean
}

/** One worker, from its start until after its end. */
export interface FleetWorker {
  readonly name: string
  readonly version: WorkerSettings["version"]
  readonly process: WorkerProcess
  readonly proxy: FaultyProxy | undefined
  /** When it died without having been asked to stop. */
  diedAt?: number
  isStopping: boolean
  isKilled: boolean
  /** From and until when it stood still. */
  readonly frozen: Array<{ from: number; until: number }>
  /** Resolves when the process has ended. */
  readonly gone: Promise<void>
  /** Told of what the invocation under way has come to. */
  onReply?: (reply: InvocationReply) => void
}

export type FleetSettings = Omit<WorkerSettings, "name" | "version" | "concurrency" | "faults" | "isFunction">

export class Fleet {
  readonly all: FleetWorker[] = []
  /** What no worker should do. */
  readonly faults: string[] = []
  kills = 0

  constructor(
    private readonly settings: FleetSettings,
    private readonly chance: Chance,
    /** Poison kills workers: their end is no surprise then. */
    private readonly mayCrash: boolean,
  ) {}

  private started = 0
  private readonly starting = new Set<Promise<unknown>>()

  /** Those that run and are not about to end. */
  get alive(): FleetWorker[] {
    return this.all.filter((worker) => !worker.process.hasEnded && !worker.isStopping)
  }

  /** Starts a worker; resolves when it works. */
  async start(traits: WorkerTraits = {}): Promise<FleetWorker> {
    const {
      version = "new",
      concurrency = this.chance.pick([1, 5, 25]),
      faults = {},
      clockOffsetMs = 0,
      isFunction = false,
    } = traits
    const name = `${version === "new" ? "w" : "original"}${this.started++}`
    const proxy = traits.isProxied ? await startFaultyProxy(this.settings.endpoint) : undefined
    const settings: WorkerSettings = {
      ...this.settings,
      name,
      version,
      concurrency,
      faults,
      isFunction,
      endpoint: proxy?.endpoint ?? this.settings.endpoint,
      seed: `${this.settings.seed}/${name}`,
    }
    let onReady = () => {}
    const ready = new Promise<"ready">((resolve) => {
      onReady = () => resolve("ready")
    })
    const child = startWorkerProcess({
      entry: ENTRY,
      execArgv: ["--import", "tsx"],
      env: { [SETTINGS_VARIABLE]: JSON.stringify(settings) },
      clockOffsetMs,
      onMessage: (message) =>
        message === "ready" ? onReady() : worker.onReply?.(message as InvocationReply),
    })
    const worker: FleetWorker = {
      name,
      version,
      process: child,
      proxy,
      isStopping: false,
      isKilled: false,
      frozen: [],
      gone: child.ended.then(({ code, signal, stderr }) => {
        if (!worker.isStopping) worker.diedAt ??= trueNow()
        if (code !== 0 && !(signal === "SIGKILL" && (worker.isKilled || this.mayCrash))) {
          this.faults.push(`${name} ended with ${signal ?? code}: ${stderr.trim().slice(-500)}`)
        }
        return proxy?.stop()
      }),
    }
    this.all.push(worker)
    await Promise.race([ready, child.ended, delay(READY_WITHIN_MS, undefined, { ref: false })])
    return worker
  }

  /** Starts a worker and doesn't wait for it; {@link settle} does. */
  startSoon(traits: WorkerTraits = {}): void {
    const start = this.start(traits).finally(() => this.starting.delete(start))
    this.starting.add(start)
  }

  /** Resolves when nobody is being started any more. */
  async settle(): Promise<void> {
    await Promise.all(this.starting)
  }

  async kill(worker: FleetWorker): Promise<void> {
    this.kills++
    worker.diedAt = trueNow()
    worker.isKilled = true
    this.endFreeze(worker)
    await worker.process.kill()
    await worker.gone
  }

  freeze(worker: FleetWorker): void {
    if (worker.process.isFrozen) return
    worker.frozen.push({ from: trueNow(), until: Number.POSITIVE_INFINITY })
    worker.process.freeze()
  }

  thaw(worker: FleetWorker): void {
    if (!worker.process.isFrozen) return
    worker.process.thaw()
    this.endFreeze(worker)
  }

  /** @returns what the invocation has come to; undefined if the worker has ended before. */
  async invoke(worker: FleetWorker, invocation: Invocation): Promise<InvocationReply | undefined> {
    const reply = new Promise<InvocationReply>((resolve) => {
      worker.onReply = resolve
    })
    this.order(worker, { order: "invoke", ...invocation })
    return Promise.race([reply, worker.gone.then(() => undefined)])
  }

  /** Lets a worker end as a deployment does. It must end in time. */
  async stop(worker: FleetWorker): Promise<void> {
    if (worker.isStopping || worker.process.hasEnded) return worker.gone
    worker.isStopping = true
    this.order(worker, { order: "stop" })
    const late = delay(STOP_WITHIN_MS, "late" as const, { ref: false })
    if ((await Promise.race([worker.gone, late])) === "late") {
      this.faults.push(`${worker.name} did not stop within ${STOP_WITHIN_MS} ms`)
      await this.kill(worker)
    }
  }

  switchFaults(worker: FleetWorker, isOn: boolean): void {
    this.order(worker, { order: "faults", isOn })
  }

  /** Ends what was done to those that live. */
  heal(): void {
    for (const worker of this.all) {
      this.thaw(worker)
      this.switchFaults(worker, false)
      worker.proxy?.heal()
    }
  }

  async stopAll(): Promise<void> {
    await this.settle()
    await Promise.all(this.all.map((worker) => this.stop(worker)))
  }

  async killAll(): Promise<void> {
    await this.settle()
    await Promise.all(this.all.map((worker) => worker.process.kill()))
  }

  private endFreeze(worker: FleetWorker): void {
    const last = worker.frozen.at(-1)
    if (last?.until === Number.POSITIVE_INFINITY) last.until = trueNow()
  }

  private order(worker: FleetWorker, order: WorkerOrder): void {
    if (!worker.process.hasEnded) worker.process.send(order)
  }
}
