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
