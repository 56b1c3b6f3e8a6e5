// Starting and stopping: nothing starts that must not, nothing is cut off, nothing is lost in between.

import assert from "node:assert/strict"
import type { BusEvent } from "../event.ts"
import { assertOnce, type SceneCase } from "./scene.ts"

export const LIFECYCLE_CASES: readonly SceneCase[] = [
  {
    name: "delivers nothing before start",
    run: async (scene) => {
      const actor = await scene.actor()
      const events = scene.events(2)
      await actor.outbox.publish(events)
      await scene.quiet()
      assert.deepEqual(actor.delivered, [])
      actor.start()
      await scene.untilDelivered(events, actor)
    },
  },
  {
    name: "can be stopped before it was started, and twice",
    run: async (scene) => {
      const actor = await scene.actor()
      const event = scene.event()
      await scene.inTime("stop before start resolves", actor.outbox.stop())
      actor.start()
      await actor.outbox.publish([event])
      await scene.untilDelivered([event], actor)
      await scene.inTime("two stops at once resolve", Promise.all([actor.outbox.stop(), actor.outbox.stop()]))
      await scene.inTime("a later stop resolves", actor.outbox.stop())
      assertOnce(actor.ids, [event])
    },
  },
  {
    name: "waits for the running handler before a stop resolves, the second stop too",
    run: async (scene) => {
      const actor = await scene.actor()
      const event = scene.event()
      const gate = scene.gate()
      await actor.outbox.publish([event])
      actor.start(() => gate.passed)
      await scene.untilDelivered([event], actor)
      let resolved = 0
      const stops = [actor.outbox.stop(), actor.outbox.stop()].map((stop) => stop.then(() => resolved++))
      await scene.quiet()
      assert.equal(resolved, 0, "stop must not resolve while the handler runs")
      gate.open()
      await scene.inTime("stop resolves", Promise.all(stops))
      assert.equal(actor.running, 0)
      actor.start()
      await scene.quiet()
      assertOnce(actor.ids, [event])
    },
  },
  {
    name: "starts no further handler once it is being stopped, and delivers the rest after the next start",
    when: ({ drainsOnStop }) => drainsOnStop !== true,
    run: async (scene) => {
      const actor = await scene.actor()
      const events = scene.events(6)
      const gate = scene.gate()
      await actor.outbox.publish(events)
      actor.start(() => gate.passed)
      await scene.until("a handler runs", () => actor.delivered.length > 0)
      // Handlers may run side by side, where the outbox keeps no order.
      await scene.quiet()
      const started = actor.delivered.length
      const stopped = actor.outbox.stop()
      gate.open()
      await scene.inTime("stop resolves", stopped)
      await scene.quiet()
      assert.equal(actor.delivered.length, started, "handlers that started after stop was called")
      actor.start()
      await scene.untilDelivered(events, actor)
      await scene.quiet()
      assertOnce(actor.ids, events)
      assert.deepEqual(actor.errors, [], "what was released was not counted as failed")
    },
  },
  {
    name: "delivers what is queued before a stop resolves, and nothing after",
    when: ({ drainsOnStop }) => drainsOnStop === true,
    run: async (scene) => {
      const actor = await scene.actor()
      const events = scene.events(6)
      const gate = scene.gate()
      await actor.outbox.publish(events)
      actor.start(() => gate.passed)
      await scene.until("a handler runs", () => actor.delivered.length > 0)
      const stopped = actor.outbox.stop()
      gate.open()
      await scene.inTime("stop resolves", stopped)
      assertOnce(actor.ids, events)
      await scene.quiet()
      assertOnce(actor.ids, events)
    },
  },
  {
    name: "makes progress each time it is stopped right after its start",
    when: ({ deliversBeforeStop }) => deliversBeforeStop === true,
    run: async (scene) => {
      const actor = await scene.actor()
      const events = scene.events(6)
      await actor.outbox.publish(events)
      await scene.until("every event is delivered by such short runs", async () => {
        actor.start()
        await scene.inTime("stop resolves", actor.outbox.stop())
        return actor.delivered.length >= events.length
      })
      await scene.quiet()
      assertOnce(actor.ids, events)
    },
  },
  {
    name: "keeps what is published while it is stopped for the next start",
    run: async (scene) => {
      const actor = await scene.actor()
      const [first, second] = scene.events(2) as [BusEvent, BusEvent]
      actor.start()
      await actor.outbox.publish([first])
      await scene.untilDelivered([first], actor)
      await actor.outbox.stop()
      await actor.outbox.publish([second])
      await scene.quiet()
      assert.deepEqual(actor.ids, [first.id], "nothing is delivered while it is stopped")
      actor.start()
      await scene.untilDelivered([second], actor)
      await scene.quiet()
      assertOnce(actor.ids, [first, second])
    },
  },
  {
    name: "gives events to the handler and the onError of the latest start",
    run: async (scene) => {
      const actor = await scene.actor(1)
      const event = scene.event()
      const seen: string[] = []
      actor.start(
        () => void seen.push("old handler"),
        () => void seen.push("old onError"),
      )
      await actor.outbox.stop()
      actor.start(
        () => {
          seen.push("new handler")
          throw new Error("failure")
        },
        () => void seen.push("new onError"),
      )
      await actor.outbox.publish([event])
      await scene.untilFailed(actor, event)
      await scene.until("it is reported", () => seen.includes("new onError"))
      assert.deepEqual([...new Set(seen)], ["new handler", "new onError"])
    },
  },
  {
    name: "delivers once although it is started twice",
    run: async (scene) => {
      const actor = await scene.actor()
      const events = scene.events(10)
      actor.start(() => new Promise(setImmediate))
      actor.start(() => new Promise(setImmediate))
      await actor.outbox.publish(events)
      await scene.untilDelivered(events, actor)
      await scene.quiet()
      assertOnce(actor.ids, events)
    },
  },
  {
    name: "delivers once although it is started again before its stop has resolved",
    run: async (scene) => {
      const actor = await scene.actor()
      const [first, ...others] = scene.events(10) as [BusEvent, ...BusEvent[]]
      const gate = scene.gate()
      await actor.outbox.publish([first])
      actor.start(() => gate.passed)
      await scene.untilDelivered([first], actor)
      const stopped = actor.outbox.stop()
      actor.start(() => new Promise(setImmediate))
      await actor.outbox.publish(others)
      await scene.quiet()
      gate.open()
      await scene.inTime("stop resolves", stopped)
      await scene.untilDelivered(others, actor)
      await scene.quiet()
      assertOnce(actor.ids, [first, ...others])
      if (scene.capabilities.order) assert.equal(actor.mostRunning, 1, "handlers that ran at once")
    },
  },
  {
    name: "keeps dead letters over a stop",
    run: async (scene) => {
      const actor = await scene.actor(1)
      const event = scene.event()
      let isMended = false
      const handler = () => {
        if (!isMended) throw new Error("failure")
      }
      await actor.outbox.publish([event])
      actor.start(handler)
      await scene.untilFailed(actor, event)
      await actor.outbox.stop()
      assert.deepEqual(await actor.failedIds(), [event.id])
      isMended = true
      const runs = actor.delivered.length
      await actor.outbox.retryEvents([event.id])
      await scene.quiet()
      assert.equal(actor.delivered.length, runs, "nothing is delivered while it is stopped")
      actor.start(handler)
      await scene.until("it is delivered", () => actor.delivered.length > runs)
    },
  },
]
