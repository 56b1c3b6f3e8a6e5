// Owns the result files: one for each measure, with the machine and the moment it was taken.
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { cpus, totalmem } from "node:os"
import type { Lab } from "../lab.ts"
import type { BatchingResult } from "../measures/batching.ts"
import type { ColdStartResult } from "../measures/cold-start.ts"
import type { CrashResult } from "../measures/crash.ts"
import type { DiagnosticsResult } from "../measures/diagnostics.ts"
import type { DrainResult } from "../measures/drain.ts"
import type { FleetResult } from "../measures/fleet.ts"
import type { IdleResult } from "../measures/idle.ts"
import type { InvocationsResult } from "../measures/invocations.ts"
import type { LatencyResult } from "../measures/latency.ts"
import type { MemoryResult } from "../measures/memory.ts"
import type { OpenTelemetryResult } from "../measures/opentelemetry.ts"
import type { OrderResult } from "../measures/order.ts"
import type { RemoteLatencyResult } from "../measures/remote-latency.ts"
import type { StreamResult } from "../measures/stream.ts"
import type { UnitsResult } from "../measures/units.ts"

export interface Results {
  drain: DrainResult
  fleet: FleetResult
  units: UnitsResult
  order: OrderResult
  crash: CrashResult
  diagnostics: DiagnosticsResult
  batching: BatchingResult
  latency: LatencyResult
  "remote-latency": RemoteLatencyResult
  idle: IdleResult
  stream: StreamResult
  invocations: InvocationsResult
  "cold-start": ColdStartResult
  opentelemetry: OpenTelemetryResult
  memory: MemoryResult
}

export type ResultName = keyof Results

export interface Machine {
  takenAt: string
  node: string
  platform: string
  cpu: string
  cores: number
  memoryGiB: number
  engines: string[]
  seed: number
}

/** Where the report and its files are. */
export const REPORT = new URL("../../docs/performance.md", import.meta.url)
export const FILES = new URL("../../docs/performance/", import.meta.url)

export function describeMachine({ engines, settings }: Lab): Machine {
  const [cpu] = cpus()
  return {
    takenAt: new Date().toISOString(),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpu?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    engines: engines.map(({ name, label }) => `${label} (${name})`),
    seed: settings.seed,
  }
}

export async function saveResult(name: string, machine: Machine, result: unknown): Promise<void> {
  await mkdir(FILES, { recursive: true })
  await writeFile(fileOf(name), `${JSON.stringify({ machine, result }, null, 2)}\n`)
}

/** @returns undefined when the measure was never run. */
export async function loadResult<N extends ResultName>(
  name: N,
): Promise<{ machine: Machine; result: Results[N] } | undefined> {
  try {
    return JSON.parse(await readFile(fileOf(name), "utf8"))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
}

function fileOf(name: string): URL {
  return new URL(`${name}.json`, FILES)
}
