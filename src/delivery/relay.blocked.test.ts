/** Handlers that block the event loop: what was settled before them must leave the process in time. */
import { expect, it, vi } from "vitest"
import { LEASE_MS } from "../test/event-operations.fixture.ts"
import { blockable, delay, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { createRelay, names } from "../test/relay.fixture.ts"

useFakeClock()

it.each([1, 5])("with concurrency %i, each is settled before the next one starts", async (concurrency) => {
  const { table, life, started, onEvent, poll } = createRelay({ concurrency })
  const block = blockable()
  table.putAll(names(6))
  Object.assign(table.latencyMs, { claim: 5, complete: 30 })
  const unsettled: number[] = []
  onEvent(async () => {
    unsettled.push(started.length - 1 - table.in("completed").length)
    block(90)
  })
  const done = poll()
  await pass(3000)
  await done
  expect(started).toEqual(names(6))
  expect(unsettled).toEqual([0, 0, 0, 0, 0, 0])
  expect(life.complete).toHaveBeenCalledTimes(6)
})

it("goes on with the next one as soon as the loop turns, though the first one is still running", async () => {
  const { table, started, onEvent, poll } = createRelay({ concurrency: 5 })
  const block = blockable()
  table.putAll(names(2))
  onEvent(async ({ id }) => {
    if (id === "e0000") block(90)
    await delay(5000)
  })
  const done = poll()
  await pass(1)
  expect(started).toEqual(["e0000"])
  await pass(40)
  expect(started).toEqual(names(2))
  await pass(6000)
  await done
})

it("what waited meanwhile starts with a renewed lease", async () => {
  const { table, life, started, onEvent, poll } = createRelay()
  const block = blockable()
  table.putAll(names(3))
  Object.assign(table.latencyMs, { claim: 1, renew: 1, complete: 5 })
  const left: number[] = []
  onEvent(async ({ id }) => {
    left.push((table.events.get(id)?.leaseEndsAt ?? 0) - Date.now())
    await delay(2)
    block(0.4 * LEASE_MS)
  })
  const done = poll()
  await pass(3000)
  await done
  expect(started).toEqual(names(3))
  expect(life.renew).toHaveBeenCalled()
  expect(Math.min(...left)).toBeGreaterThan(0.9 * LEASE_MS)
})

it("those that don't block wait for nothing", async () => {
  const { table, started, onEvent, poll } = createRelay()
  const block = blockable()
  table.putAll(names(6))
  table.latencyMs.complete = 10_000
  onEvent(async () => {
    block(40)
    await delay(25)
  })
  void poll()
  await pass(500)
  expect(started).toEqual(names(6))
})

it("leaves no timer behind", async () => {
  const { table, relay, onEvent, poll } = createRelay()
  table.putAll(names(3))
  onEvent(() => delay(30))
  const done = poll()
  await pass(1000)
  await done
  await relay.stop()
  expect(vi.getTimerCount()).toBe(0)
})
