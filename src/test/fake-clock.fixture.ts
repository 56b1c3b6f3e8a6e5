/** Time, under the control of a test. */
import { afterEach, beforeEach, vi } from "vitest"

const realSetImmediate = setImmediate

/** When every test begins. */
export const NOW = 1_700_000_000_000

/** To be called at the top of a test file. */
export function useFakeClock(): void {
  beforeEach(() => {
    vi.useFakeTimers({ now: NOW })
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.restoreAllMocks()
  })
}

/** Lets everything happen that needs no more than `ms`; without, all that can happen at this moment. */
export const pass = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

/** Lets the next timer fire, and all happen that needs no more time; takes a fraction of the real time of {@link pass}. */
export async function passToNextTimer(): Promise<void> {
  vi.advanceTimersToNextTimer()
  await new Promise((resolve) => realSetImmediate(resolve))
}

/** Resolves after a time of the fake clock. */
export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Lets time pass in which no timer fires: as while a handler computes. To be called under the fake clock. */
export function blockable(): (ms: number) => void {
  const { now: realNow } = performance
  const { now: realDate } = Date
  let blockedMs = 0
  vi.spyOn(performance, "now").mockImplementation(() => realNow.call(performance) + blockedMs)
  vi.spyOn(Date, "now").mockImplementation(() => realDate() + blockedMs)
  return (ms) => {
    blockedMs += ms
  }
}
