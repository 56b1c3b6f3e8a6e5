// A polling service on a fake clock, whose polls a test may end itself.

import { afterEach, beforeEach, expect, vi } from "vitest"
import { type Deferred, deferred } from "./deferred.fixture.ts"
import type { OutboxError } from "./errors.ts"
import { PollingService, type PollingServiceConfig } from "./polling-service.ts"

export const handler = async () => {}
export const onError = vi.fn<(error: OutboxError) => void>()
const created: PollingService[] = []

/** 1000 ms between polls; 100, 200, 400, … ms after failures. Stopped after the test. */
export function create(config: Partial<PollingServiceConfig>): PollingService {
  const defaults = { pollIntervalMs: 1000, baseBackoffMs: 100, processBatch: async () => {} }
  const polling = new PollingService(Object.assign(config, { ...defaults, ...config }))
  created.push(polling)
  return polling
}

/** Polls that a test ends itself. */
export function manualPolls() {
  const polls: Deferred[] = []
  const processBatch = vi.fn(() => {
    const poll = deferred()
    polls.push(poll)
    return poll.promise
  })
  return { polls, processBatch }
}

export const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms)

/** Lets the promise callbacks run that are due at this moment of the fake clock. */
export const settle = () => advance(0)

/** Installs the fake clock, takes the jitter out of delays, and sees that no timer is left after a test. */
export function useFakeClock(): void {
  beforeEach(() => {
    vi.useFakeTimers()
    vi.spyOn(Math, "random").mockReturnValue(0.5)
  })
  afterEach(async () => {
    await Promise.all(created.splice(0).map((polling) => polling.stop()))
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
    vi.restoreAllMocks()
    onError.mockReset()
  })
}
