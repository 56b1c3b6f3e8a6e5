/** The adapter on another implementation of the core, whose PollingService does what the contract says and no more. */
import type { PollingServiceConfig } from "outbox-event-bus"
import { beforeEach, expect, it, vi } from "vitest"
import { delay, NOW, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, event, holding, item } from "./outbox.fixture.ts"

/** When a stop right after a start makes the core leave the first poll. */
const stopsEarly = vi.hoisted(() => ({ value: undefined as string | undefined }))

/** Told of the polls that fail. */
const onFailedPoll = vi.hoisted(() => ({ value: (_: unknown) => {} }))

vi.mock("outbox-event-bus", async (importOriginal) => {
  class PollingService {
    private timer: NodeJS.Timeout | undefined
    private isStopped = true
    private poll: Promise<void> = Promise.resolve()

    constructor(private readonly config: PollingServiceConfig) {}

    start(handler: Parameters<PollingServiceConfig["processBatch"]>[0]): void {
      this.isStopped = false
      const run = async () => {
        if (stopsEarly.value === "before anything") await Promise.resolve()
        if (stopsEarly.value === "before anything" && this.isStopped) return
        await this.config.performMaintenance?.()
        if (stopsEarly.value && this.isStopped) return
        await this.config.processBatch(handler).catch(onFailedPoll.value)
        if (!this.isStopped) this.timer = setTimeout(next, this.config.pollIntervalMs)
      }
      const next = () => {
        this.poll = run()
      }
      next()
    }

    async stop(): Promise<void> {
      this.isStopped = true
      clearTimeout(this.timer)
      await this.poll
    }

    calculateBackoff(attempt: number): number {
      return this.config.baseBackoffMs * 2 ** (attempt - 1)
    }
  }
  return { ...(await importOriginal<typeof import("outbox-event-bus")>()), PollingService }
})

useFakeClock()
beforeEach(() => {
  // No jitter.
  vi.spyOn(Math, "random").mockReturnValue(0.5)
})

it("delivers, retries and stops; without a wake, the next poll finds what is published", async () => {
  const published: ReturnType<typeof item>[] = []
  const all = createOutbox({ due: () => ({ Items: published.splice(0) }) })
  all.onEvent(async () => {
    throw new Error("boom")
  })
  all.start()
  await pass(100)
  await all.outbox.publish([event("e1")])
  published.push(item("e1"))
  all.outbox.wake()
  await pass(500)
  expect(all.handled).toEqual([])
  await pass(500)
  expect(all.handled).toEqual(["e1"])
  expect(all.inputsOf("fail")[0]?.ExpressionAttributeValues[":set_gsiSortKey"]).toBe(NOW + 2000)
  await all.outbox.stop()
})

it("goes on with the next poll where one had more to do than it had time for", async () => {
  let next = 0
  const all = createOutbox(
    { due: () => ({ Items: next < 20 ? [item(`e${next++}`)] : [] }) },
    { processingTimeoutMs: 500, pollIntervalMs: 10 },
  )
  all.onEvent(() => delay(100))
  all.start()
  await pass(10_000)
  await all.outbox.stop()
  expect(all.handled).toHaveLength(20)
})

it.each(["during maintenance", "before anything"])(
  "delivers a page to a stop right after a start, also where the core's stop takes effect %s",
  async (when) => {
    stopsEarly.value = when
    const all = createOutbox(holding(item("e1"), item("e2")))
    all.start()
    const stopped = all.outbox.stop()
    await pass(100)
    await stopped
    expect(all.handled).toEqual(["e1", "e2"])
    stopsEarly.value = undefined
  },
)

it("reports a poll by itself that was interrupted but got something done: the core, which would pause, sees none fail", async () => {
  const failedPolls: unknown[] = []
  onFailedPoll.value = (error) => failedPolls.push(error)
  const all = createOutbox({
    ...holding(item("e1"), item("bad"), item("e2")),
    due: (_, call) =>
      call === 0 ? { Items: [item("e1"), item("bad"), item("e2")] } : Promise.reject(new Error(`no ${call}`)),
    claim: ({ Key }) =>
      Key.id === "bad" ? Promise.reject(new Error("denied")) : { Attributes: item(Key.id) },
  })
  all.start()
  await pass(100)
  expect(all.handled).toEqual(["e1", "e2"])
  expect(failedPolls).toEqual([])
  expect(all.errors.map(({ message }) => message)).toEqual([
    'Could not claim event "bad"',
    "Polling cycle failed",
  ])
  await pass(1000)
  expect(failedPolls).toHaveLength(1)
  await all.outbox.stop()
})
