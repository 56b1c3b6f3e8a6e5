// From publish to handler: once, whole, in order, on time.

import assert from "node:assert/strict"
import { assertOnce, type SceneCase } from "./scene.ts"

/** What JSON can hold comes back as it was, whatever the store. */
const JSON_PAYLOADS: readonly unknown[] = [
  {},
  [],
  "",
  'text with ünïcode, 😀, "quotes", \n and \u0000',
  0,
  -1.5,
  Number.MAX_SAFE_INTEGER,
  true,
  false,
  null,
  { empty: { map: {}, list: [], text: "" }, nothing: null, list: [1, "two", [3, { four: 4 }], null, false] },
  { "a.b": 1, "with space": 2, status: "failed", id: "not the event's", "#name": ":value", constructor: "c" },
]

export const DELIVERY_CASES: readonly SceneCase[] = [
  {
    name: "delivers events that were published before start",
    run: async (scene) => {
      const actor = await scene.actor()
      const events = scene.events(3)
      await actor.outbox.publish(events)
      actor.start()
      await scene.untilDelivered(events, actor)
    },
  },
  {
    name: "delivers events that are published after start",
    run: async (scene) => {
      const actor = await scene.actor()
      actor.start()
      await scene.quiet()
      const events = scene.events(3)
      await actor.outbox.publish(events)
      await scene.untilDelivered(events, actor)
    },
  },
  {
    name: "delivers each of many events exactly once, and reports nothing",
    run: async (scene) => {
      const actor = await scene.actor()
      const events = scene.events(60)
      await actor.outbox.publish(events.slice(0, 25))
      actor.start()
      for (const event of events.slice(25, 40)) await actor.outbox.publish([event])
      await actor.outbox.publish(events.slice(40))
      await scene.untilDelivered(events, actor)
      await scene.quiet()
      assertOnce(actor.ids, events)
      assert.deepEqual(actor.errors, [], "nothing is reported when all is well")
      assert.deepEqual(await actor.outbox.getFailedEvents(), [], "there are no dead letters")
    },
  },
  {
    name: "does nothing for a publish of no events",
    run: async (scene) => {
      const actor = await scene.actor()
      actor.start()
      await actor.outbox.publish([])
      await scene.quiet()
      assert.deepEqual(actor.delivered, [])
      assert.deepEqual(actor.errors, [])
    },
  },
  {
    name: "hands over id, type, occurrence, payload and metadata as they were published",
    run: async (scene) => {
      const actor = await scene.actor()
      const metadata = { traceId: "trace-1", tenant: { name: "a", tags: ["x", "y"] }, version: 2 }
      const events = [
        scene.event({ metadata }),
        scene.event({ type: "another.type", id: "an id with spaces/and#signs" }),
        scene.event({ occurredAt: new Date("2001-02-03T04:05:06.789Z") }),
      ]
      await actor.outbox.publish(events)
      actor.start()
      await scene.untilDelivered(events, actor)
      for (const event of events) {
        const delivered = actor.delivered.find(({ id }) => id === event.id)
        assert(delivered?.occurredAt instanceof Date, "occurredAt is a Date")
        assert.deepEqual({ ...delivered }, event)
      }
    },
  },
  {
    name: "brings payloads back as they were",
    run: async (scene) => {
      const actor = await scene.actor()
      const events = [...JSON_PAYLOADS, ...scene.payloads].map((payload) => scene.event({ payload }))
      await actor.outbox.publish(events)
      actor.start()
      await scene.untilDelivered(events, actor)
      for (const { id, payload } of events) {
        const delivered = actor.delivered.find((event) => event.id === id)
        assert.deepEqual(delivered?.payload, payload, `the payload of ${id}`)
      }
    },
  },
  {
    name: "keeps an event as it was when it was published",
    run: async (scene) => {
      const actor = await scene.actor()
      const event = scene.event()
      const published = { ...event }
      await actor.outbox.publish([event])
      Object.assign(event, { type: "changed", payload: "changed", occurredAt: new Date(0) })
      actor.start()
      await scene.untilDelivered([event], actor)
      assert.deepEqual({ ...actor.delivered[0] }, published)
    },
  },
  {
    name: "runs one handler at a time, in the order of occurrence",
    when: ({ order }) => order === "occurrence",
    run: async (scene) => {
      const actor = await scene.actor()
      const events = scene.events(20)
      await actor.outbox.publish(events.filter((_, i) => i % 3 === 2).reverse())
      await actor.outbox.publish(events.filter((_, i) => i % 3 !== 2).reverse())
      actor.start(() => new Promise(setImmediate))
      await scene.untilDelivered(events, actor)
      assert.deepEqual(
        actor.ids,
        events.map(({ id }) => id),
      )
      assert.equal(actor.mostRunning, 1, "handlers that ran at once")
    },
  },
  {
    name: "runs one handler at a time, in the order of publication",
    when: ({ order }) => order === "publication",
    run: async (scene) => {
      const actor = await scene.actor()
      const events = scene.events(20).reverse()
      await actor.outbox.publish(events.slice(0, 12))
      for (const event of events.slice(12)) await actor.outbox.publish([event])
      actor.start(() => new Promise(setImmediate))
      await scene.untilDelivered(events, actor)
      assert.deepEqual(
        actor.ids,
        events.map(({ id }) => id),
      )
      assert.equal(actor.mostRunning, 1, "handlers that ran at once")
    },
  },
  {
    name: "delivers what a handler publishes",
    run: async (scene) => {
      const actor = await scene.actor()
      const [first, second] = scene.events(2) as [
        ReturnType<typeof scene.event>,
        ReturnType<typeof scene.event>,
      ]
      actor.start(async ({ id }) => {
        if (id === first.id) await actor.outbox.publish([second])
      })
      await actor.outbox.publish([first])
      await scene.untilDelivered([first, second], actor)
      await scene.quiet()
      assertOnce(actor.ids, [first, second])
    },
  },
  {
    name: "delivers an event that occurs in the future then, not before",
    when: ({ delaysFutureEvents }) => delaysFutureEvents === true,
    run: async (scene) => {
      const actor = await scene.actor()
      const later = scene.event({ occurredAt: new Date(Date.now() + 500) })
      const now = scene.event()
      let deliveredAt = 0
      actor.start(({ id }) => {
        if (id === later.id) deliveredAt = Date.now()
      })
      await actor.outbox.publish([later, now])
      await scene.untilDelivered([now, later], actor)
      assert.deepEqual(actor.ids, [now.id, later.id])
      assert(deliveredAt >= later.occurredAt.getTime(), "it is not delivered early")
    },
  },
]
