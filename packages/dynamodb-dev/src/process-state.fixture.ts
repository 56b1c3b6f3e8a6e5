// Owns what tests need to know about processes: whether one is there, and which one started it.
import { execFileSync } from "node:child_process"
import { vi } from "vitest"

/** Whether a process with this id runs. One that has ended and is only remembered by its parent doesn't count. */
export function isRunning(pid: number): boolean {
  const state = stateOf(pid)
  return state !== "" && !state.startsWith("Z")
}

/** What `ps` says of it: `T...` when it is stopped, nothing when it is gone. */
export function stateOf(pid: number): string {
  try {
    return execFileSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).trim()
  } catch {
    return ""
  }
}

/** Waits until a process is gone. */
export async function untilGone(pid: number): Promise<void> {
  await vi.waitFor(
    () => {
      if (isRunning(pid)) throw new Error(`process ${pid} still runs`)
    },
    { timeout: 5_000, interval: 20 },
  )
}

/** The process that started this one. */
export function parentOf(pid: number): number {
  return Number(execFileSync("ps", ["-o", "ppid=", "-p", String(pid)], { encoding: "utf8" }))
}
