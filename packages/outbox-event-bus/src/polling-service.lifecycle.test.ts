// Stopping, starting again, waking.

import { AsyncLocalStorage } from "node:async_hooks"
import { describe, expect, it, vi } from "vitest"
import { deferred } from "./deferred.fixture.ts"
import {
  advance,
  create,
  handler,
  manualPolls,
  onError,
  settle,
  useFakeClock,
} from "./polling-service.fixture.ts"
import type { PollingService } from "./polling-service.ts"

useFakeClock()

describe("stop", () => {
  it("resolves before start, and twice", async () => {
    const polling = create({})
    await polling.stop()
    polling.start(handler, onError)
    await Promise.all([polling.stop(), polling.stop()])
    await polling.stop()
  })

  it.each<[string, () => Promise<void>]>([
    ["the pause", async () => {}],
    ["the delay after a failure", () => Promise.reject(new Error("down"))],
  ])("ends %s at once, and no poll follows", async (_, poll) => {
    const processBatch = vi.fn(poll)
    const polling = create({ processBatch })
    polling.start(handler, onError)
    await settle()
    await polling.stop()
    expect(vi.getTimerCount()).toBe(0)
    await advance(10_000)
    expect(processBatch).toHaveBeenCalledTimes(1)
  })

  it.each(["resolve", "reject"] as const)(
    "waits for the poll under way, and resolves when it %ss",
    async (how) => {
      const { polls, processBatch } = manualPolls()
      const polling = create({ processBatch })
      polling.start(handler, onError)
      const stopped = vi.fn()
      const stop = polling.stop().then(stopped)
      await advance(10_000)
      expect(stopped).not.toHaveBeenCalled()
      polls[0]?.[how](new Error("down") as never)
      await stop
      expect(onError).toHaveBeenCalledTimes(how === "reject" ? 1 : 0)
      await advance(10_000)
      expect(processBatch).toHaveBeenCalledTimes(1)
    },
  )

  it("waits for the poll that calls it", async () => {
    let stopped: Promise<void> | undefined
    const work = deferred()
    const isStopped = vi.fn()
    const processBatch = vi.fn(() => {
      stopped = polling.stop().then(isStopped)
      return work.promise
    })
    const polling = create({ processBatch })
    polling.start(handler, onError)
    await advance(10_000)
    expect(isStopped).not.toHaveBeenCalled()
    work.resolve()
    await stopped
    expect(processBatch).toHaveBeenCalledTimes(1)
  })
})

describe("a stop right after start", () => {
  it.each([true, false])(
    "waits for the first poll, batch included; with maintenance: %o",
    async (withUpkeep) => {
      const upkeep = deferred()
      const { polls, processBatch } = manualPolls()
      const polling = create({
        processBatch,
        ...(withUpkeep && { performMaintenance: () => upkeep.promise }),
      })
      polling.start(handler, onError)
      const stopped = vi.fn()
      const stop = polling.stop().then(stopped)
      upkeep.resolve()
      await advance(10_000)
      expect(processBatch).toHaveBeenCalledExactlyOnceWith(handler)
      expect(stopped).not.toHaveBeenCalled()
      polls[0]?.resolve()
      await stop
    },
  )

  it("makes one poll each time, however often the two alternate", async () => {
    const processBatch = vi.fn(async () => {})
    const polling = create({ processBatch, performMaintenance: async () => {} })
    for (let round = 1; round <= 5; round += 1) {
      polling.start(handler, onError)
      await polling.stop()
      expect(processBatch).toHaveBeenCalledTimes(round)
    }
  })
})

describe.each<[string, (polling: PollingService) => PollingService]>([
  ["a Proxy", (polling) => new Proxy(polling, {})],
  ["Object.create", (polling) => Object.create(polling)],
])("through %s", (_, wrap) => {
  it("the service works, also where some calls go to the wrapped object", async () => {
    const processBatch = vi.fn(async () => {})
    const polling = create({ processBatch })
    const wrapped = wrap(polling)
    wrapped.start(handler, onError)
    polling.start(handler, onError)
    wrapped.wake()
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(2)
    expect(wrapped.calculateBackoff(1)).toBe(100)
    await polling.stop()
    await advance(10_000)
    expect(processBatch).toHaveBeenCalledTimes(2)
    polling.start(handler, onError)
    await wrapped.stop()
    await advance(10_000)
    expect(processBatch).toHaveBeenCalledTimes(3)
  })
})

describe("start after stop", () => {
  it("polls at once with the new handler when stop was awaited", async () => {
    const processBatch = vi.fn(async () => {})
    const other = async () => {}
    const polling = create({ processBatch })
    polling.start(handler, onError)
    await settle()
    await polling.stop()
    polling.start(other, onError)
    expect(processBatch.mock.calls).toEqual([[handler], [other]])
  })

  it("lets no poll run beside the one under way when stop was not awaited", async () => {
    const { polls, processBatch } = manualPolls()
    const polling = create({ processBatch })
    polling.start(handler, onError)
    const firstStop = polling.stop()
    polling.start(handler, onError)
    await advance(10_000)
    expect(processBatch).toHaveBeenCalledTimes(1)
    polls[0]?.resolve()
    await firstStop
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(2)
    polls[1]?.resolve()
    await advance(1000)
    expect(processBatch).toHaveBeenCalledTimes(3)
    polls[2]?.resolve()
  })

  it("leaves one loop, however often they alternate", async () => {
    const processBatch = vi.fn(async () => {})
    const polling = create({ processBatch })
    polling.start(handler, onError)
    for (let round = 0; round < 5; round += 1) {
      void polling.stop()
      polling.start(handler, onError)
    }
    await settle()
    processBatch.mockClear()
    await advance(3000)
    expect(processBatch).toHaveBeenCalledTimes(3)
  })

  it("does not poll any more when stopped again before its turn", async () => {
    const { polls, processBatch } = manualPolls()
    const polling = create({ processBatch })
    polling.start(handler, onError)
    void polling.stop()
    polling.start(handler, onError)
    const stop = polling.stop()
    polls[0]?.resolve()
    await stop
    await advance(10_000)
    expect(processBatch).toHaveBeenCalledTimes(1)
  })
})

describe("wake", () => {
  it("polls now instead of after the pause, and the pause begins anew", async () => {
    const processBatch = vi.fn(async () => {})
    const polling = create({ processBatch })
    polling.start(handler, onError)
    await advance(300)
    polling.wake()
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(2)
    await advance(999)
    expect(processBatch).toHaveBeenCalledTimes(2)
    await advance(1)
    expect(processBatch).toHaveBeenCalledTimes(3)
  })

  it("during a poll makes one more follow it immediately, however often it is called", async () => {
    const { polls, processBatch } = manualPolls()
    const polling = create({ processBatch })
    polling.start(handler, onError)
    polling.wake()
    polling.wake()
    expect(processBatch).toHaveBeenCalledTimes(1)
    polls[0]?.resolve()
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(2)
    polls[1]?.resolve()
    await advance(999)
    expect(processBatch).toHaveBeenCalledTimes(2)
  })

  it("does not shorten the delay after a failure, whether called before or during it", async () => {
    const { polls, processBatch } = manualPolls()
    const polling = create({ processBatch })
    polling.start(handler, onError)
    polling.wake()
    polls[0]?.reject(new Error("down"))
    await settle()
    polling.wake()
    await advance(199)
    expect(processBatch).toHaveBeenCalledTimes(1)
    await advance(1)
    expect(processBatch).toHaveBeenCalledTimes(2)
    polls[1]?.resolve()
    await advance(999)
    expect(processBatch).toHaveBeenCalledTimes(2)
  })

  it("does nothing before start and after stop", async () => {
    const processBatch = vi.fn(async () => {})
    const polling = create({ processBatch })
    polling.wake()
    polling.start(handler, onError)
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(1)
    await polling.stop()
    polling.wake()
    await advance(10_000)
    expect(processBatch).toHaveBeenCalledTimes(1)
  })

  it("keeps the caller's async context out of the poll, paused or under way", async () => {
    const transaction = new AsyncLocalStorage<string>()
    const seen: (string | undefined)[] = []
    const { polls, processBatch } = manualPolls()
    const polling = create({
      performMaintenance: async () => void seen.push(transaction.getStore()),
      processBatch: () => {
        seen.push(transaction.getStore())
        return processBatch()
      },
    })
    transaction.run("of start", () => polling.start(handler, onError))
    await settle()
    transaction.run("of a publisher", () => polling.wake())
    transaction.run("of a batch", () => polls[0]?.resolve())
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(2)
    polls[1]?.resolve()
    await settle()
    transaction.run("of a publisher", () => polling.wake())
    await settle()
    expect(processBatch).toHaveBeenCalledTimes(3)
    polls[2]?.resolve()
    expect(seen).toEqual(Array(6).fill("of start"))
  })
})
