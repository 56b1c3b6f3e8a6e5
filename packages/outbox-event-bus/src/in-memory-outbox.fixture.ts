// An in-memory outbox on a fake clock, with a handler that a test tells what to do.

import { afterEach, beforeEach, expect, vi } from "vitest"
import type { OutboxError } from "./errors.ts"
import type { BusEvent } from "./event.ts"
import { InMemoryOutbox, type InMemoryOutboxConfig } from "./in-memory-outbox.ts"
import { anEvent } from "./manual-outbox.fixture.ts"

export const handler = vi.fn<(event: BusEvent) => Promise<void>>()
export const onError = vi.fn<(error: OutboxError) => void>()
export let outbox: InMemoryOutbox

export const named = (...ids: string[]) => ids.map((id) => anEvent({ id }))
/** The ids that the handler was given. */
export const handled = () => handler.mock.calls.map(([event]) => event.id)
export const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms)
export const failWith = (...messages: string[]) => {
  for (const message of messages) handler.mockRejectedValueOnce(new Error(message))
}

/** Puts another outbox in place of the test's. */
export function createOutbox(config?: InMemoryOutboxConfig): void {
  outbox = new InMemoryOutbox(config)
}

/** Gives each test an outbox of its own and a fake clock, and sees that no timer is left after it. */
export function useOutboxOnFakeClock(): void {
  beforeEach(() => {
    vi.useFakeTimers()
    handler.mockReset().mockResolvedValue(undefined)
    onError.mockReset()
    createOutbox()
  })
  afterEach(async () => {
    await outbox.stop()
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
    vi.restoreAllMocks()
  })
}
