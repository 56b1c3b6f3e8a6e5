/** Timers: none is left after a stop, and they may be numbers, as in jsdom and in edge runtimes. */
import { afterEach, describe, expect, it, vi } from "vitest"
import { getHandlerContext } from "../delivery/handler-context.ts"
import { delay, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, event, holding, item, named } from "./outbox.fixture.ts"

useFakeClock()
afterEach(() => {
  vi.unstubAllGlobals()
})

/** Stops, and tells how many timers are left then. */
async function timersAfterStop({ outbox }: ReturnType<typeof createOutbox>): Promise<number> {
  const stopped = vi.fn()
  void outbox.stop().then(stopped)
  for (let waited = 0; stopped.mock.calls.length === 0 && waited < 30_000; waited += 10) await pass(10)
  expect(stopped).toHaveBeenCalledOnce()
  return vi.getTimerCount()
}

describe("no timer is left after a stop", () => {
  it.each<[string, () => Promise<ReturnType<typeof createOutbox>>]>([
    [
      "at once",
      async () => {
        const all = createOutbox()
        all.start()
        return all
      },
    ],
    [
      "while it waits for the next poll",
      async () => {
        const all = createOutbox()
        all.start()
        await pass(2500)
        return all
      },
    ],
    [
      "right after a publish, whose events the index may not show yet",
      async () => {
        const all = createOutbox()
        all.start()
        await pass()
        await all.outbox.publish([event("e1")])
        return all
      },
    ],
    [
      "while handlers run that have asked for their signal, with events claimed ahead",
      async () => {
        const all = createOutbox(holding(item("e1"), item("e2"), item("e3")), { processingTimeoutMs: 1000 })
        all.onEvent(() => {
          expect(getHandlerContext()?.signal.aborted).toBe(false)
          return delay(700)
        })
        all.start()
        await pass(10)
        return all
      },
    ],
    [
      "with a write that fails, and one that gets no response",
      async () => {
        const all = createOutbox({
          ...holding(item("e1"), item("e2")),
          complete: ({ Key }) =>
            Key.id === "e1" ? Promise.reject(named("ThrottlingException")) : new Promise(() => {}),
        })
        all.start()
        await pass(10)
        return all
      },
    ],
    [
      "after polls that failed",
      async () => {
        const all = createOutbox({ due: () => Promise.reject(named("ThrottlingException")) })
        all.start()
        await pass(10_000)
        return all
      },
    ],
  ])("%s", async (_, run) => {
    expect(await timersAfterStop(await run())).toBe(0)
  })
})

it("timers may be numbers", async () => {
  for (const name of ["setTimeout", "setInterval"] as const) {
    const set = globalThis[name]
    vi.stubGlobal(name, (callback: () => void, ms: number) => Number(set(callback, ms)))
  }
  const all = createOutbox(holding(item("e1")), { processingTimeoutMs: 1000 })
  const signals: unknown[] = []
  all.onEvent(async () => {
    signals.push(getHandlerContext()?.signal)
    await delay(700)
  })
  all.start()
  await all.outbox.publish([event("e2")])
  await pass(1000)
  expect(all.steps()).toEqual(expect.arrayContaining(["publish", "claim", "complete"]))
  expect(signals).toEqual([expect.any(AbortSignal)])
  expect(all.errors).toEqual([])
  expect(await timersAfterStop(all)).toBe(0)
})
