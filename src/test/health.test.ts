/** What health() tells of a relay. */
import { expect, it } from "vitest"
import { deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import { NOW, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, holding, item } from "./outbox.fixture.ts"

useFakeClock()

it("is not started before its start and after its stop, and counts the handlers that run", async () => {
  const { outbox, start, onEvent } = createOutbox(holding(item("a"), item("b")), { concurrency: 2 })
  const gate = deferred()
  onEvent(() => gate.promise)
  expect(outbox.health()).toEqual({ isStarted: false, runningHandlers: 0 })
  start()
  await pass(10)
  expect(outbox.health()).toMatchObject({ isStarted: true, runningHandlers: 2 })
  const stopped = outbox.stop()
  gate.resolve()
  await stopped
  expect(outbox.health()).toEqual({ isStarted: false, runningHandlers: 0 })
})

it("says when a poll has last succeeded, and last failed", async () => {
  let isAway = false
  const { outbox, start } = createOutbox({
    due: () => {
      if (isAway) throw new Error("away")
      return { Items: [] }
    },
  })
  start()
  await pass(1)
  expect(outbox.health().lastPollSucceededAt).toEqual(new Date(NOW))
  expect(outbox.health()).not.toHaveProperty("lastPollFailedAt")
  isAway = true
  await pass(5000)
  const { lastPollSucceededAt, lastPollFailedAt } = outbox.health()
  expect(lastPollSucceededAt?.getTime()).toBeLessThan(NOW + 1000)
  expect(lastPollFailedAt?.getTime()).toBeGreaterThan(NOW + 1000)
  await outbox.stop()
})

it("without polling, tells whether there are handlers, and how many run", async () => {
  const { outbox, start, onEvent } = createOutbox(holding(item("a")), { polling: false })
  const gate = deferred()
  onEvent(() => gate.promise)
  expect(outbox.health()).toEqual({ isStarted: false, runningHandlers: 0 })
  start()
  const drain = outbox.drain()
  await pass(10)
  expect(outbox.health()).toEqual({ isStarted: true, runningHandlers: 1 })
  gate.resolve()
  await drain
  expect(outbox.health()).toEqual({ isStarted: true, runningHandlers: 0 })
})
