/**
 * What workers write down: each handler run, each change of state that reached the engine, each failed write. One line each,
 * by a synchronous write to a file of the worker's own: what has been written stays, also when the worker is killed the
 * moment after.
 */
import { openSync, readdirSync, readFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import type { FaultCounts } from "../packages/dynamodb-dev/src/index.ts"

/** `at` is epoch milliseconds by this machine's clock, whatever clock the worker has. */
export type Entry = { at: number } & (
  | { what: "ready" }
  | { what: "started"; id: string; run: number }
  | { what: "ended"; id: string; run: number; isOk: boolean }
  /** The engine has carried out a write of this status. */
  | { what: "written"; id: string; status: string; isRecovery: boolean }
  /** An attempt to write was sent, or was answered, whatever with. */
  | { what: "sent"; id: string }
  | { what: "answered"; id: string }
  /** A write, or its answer, did not come through; a lost condition is none of these. */
  | { what: "trouble"; id: string; error: string }
  /** The process stood still for so long although nobody froze it: the machine was busy. */
  | { what: "stalled"; ms: number }
  | { what: "reported"; name: string; message: string }
  | { what: "faults"; counts: FaultCounts }
  | { what: "stopped"; ms: number }
)

type WithoutTime<T> = T extends unknown ? Omit<T, "at"> : never

/** This machine's clock; not `Date`, which may be shifted. */
export const trueNow = () => performance.timeOrigin + performance.now()

export function openJournal(path: string): (entry: WithoutTime<Entry>) => void {
  const file = openSync(path, "a")
  return (entry) => void writeSync(file, `${JSON.stringify({ at: trueNow(), ...entry })}\n`)
}

/** A worker's name and what it wrote. */
export type Journals = Map<string, Entry[]>

/** Reads the journals of a folder; each is named for its worker. */
export function readJournals(folder: string): Journals {
  const journals: Journals = new Map()
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".jsonl"))) {
    const lines = readFileSync(join(folder, name), "utf8").split("\n")
    // The last line may be one that a killed worker did not finish.
    const entries = lines.slice(0, -1).map((line) => JSON.parse(line) as Entry)
    journals.set(name.replace(".jsonl", ""), entries)
  }
  return journals
}
