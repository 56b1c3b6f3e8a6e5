// Owns the worker processes: starts them once, since starting takes longer than what is measured, and gives them work.
import { type ChildProcess, fork } from "node:child_process"
import type { FromWorker, StartWork, ToWorker } from "./fleet-protocol.ts"
import type { Counts } from "./meter.ts"

export interface FleetDrain {
  /** Every delivery, duplicates included. */
  handled: string[]
  counts: Counts[]
  /** From the start to the first delivery of the last event. */
  ms: number
}

export class Fleet {
  private constructor(private readonly workers: WorkerProcess[]) {}

  static async start(size: number): Promise<Fleet> {
    return new Fleet(await Promise.all(Array.from({ length: size }, () => WorkerProcess.start())))
  }

  /** Lets the first `size` workers drain a table of `total` events. */
  async drain(size: number, total: number, work: Omit<StartWork, "kind">): Promise<FleetDrain> {
    const workers = this.workers.slice(0, size)
    const handled: string[] = []
    const distinct = new Set<string>()
    const start = performance.now()
    await new Promise<void>((resolve) => {
      for (const worker of workers) {
        worker.onHandled = (ids) => {
          handled.push(...ids)
          for (const id of ids) distinct.add(id)
          if (distinct.size >= total) resolve()
        }
        worker.send({ kind: "start", ...work })
      }
    })
    const ms = performance.now() - start
    const counts = await Promise.all(workers.map((worker) => worker.stopWork()))
    return { handled, counts, ms }
  }

  stop(): void {
    for (const worker of this.workers) worker.end()
  }
}

/** A process of {@link ./worker-process.ts}. */
export class WorkerProcess {
  onHandled: (ids: string[]) => void = () => {}

  private constructor(private readonly child: ChildProcess) {
    child.on("message", (message: FromWorker) => {
      if (message.kind === "handled") this.onHandled(message.ids)
    })
    child.on("exit", (code) => {
      // A measure that goes on without one of its workers would wait for ever.
      if (code) throw new Error(`A worker process ended with code ${code}.`)
    })
  }

  static async start(): Promise<WorkerProcess> {
    const worker = new WorkerProcess(fork(new URL("./worker-process.ts", import.meta.url)))
    await worker.told("ready")
    return worker
  }

  send(message: ToWorker): void {
    this.child.send(message)
  }

  async stopWork(): Promise<Counts> {
    const stopped = this.told("stopped")
    this.send({ kind: "stop" })
    return (await stopped).counts
  }

  told<K extends FromWorker["kind"]>(kind: K): Promise<Extract<FromWorker, { kind: K }>> {
    return new Promise((resolve) => {
      const listen = (message: FromWorker) => {
        if (message.kind !== kind) return
        this.child.off("message", listen)
        resolve(message as Extract<FromWorker, { kind: K }>)
      }
      this.child.on("message", listen)
    })
  }

  end(): void {
    this.child.disconnect()
  }
}
