// What outboxes promise that keep their events outside of the process: no event twice, several workers, transactions.

import assert from "node:assert/strict"
import type { BusEvent } from "../event.ts"
import { assertOnce, type SceneCase } from "./scene.ts"

export const STORE_CASES: readonly SceneCase[] = [
  {
    name: "refuses an id that is published already, and leaves the first event as it is",
    when: ({ refusesDuplicates }) => refusesDuplicates === true,
    run: async (scene) => {
      const actor = await scene.actor()
      const [first, beside] = scene.events(2) as [BusEvent, BusEvent]
      await actor.outbox.publish([first])
      const again = { ...first, payload: "another" }
      await assert.rejects(actor.outbox.publish([again]), refusalThatNames(first.id))
      await assert.rejects(actor.outbox.publish([beside, again]), refusalThatNames(first.id))
      actor.start()
      await scene.untilDelivered([first], actor)
      await assert.rejects(
        actor.outbox.publish([again]),
        refusalThatNames(first.id),
        "also once it is delivered",
      )
      await scene.quiet()
      assert.deepEqual(
        actor.delivered.map((event) => ({ ...event })),
        [first],
        "neither the second event of that id nor what was published with it is stored",
      )
    },
  },
  {
    name: "refuses events of one id in one publish",
    when: ({ refusesDuplicates }) => refusesDuplicates === true,
    run: async (scene) => {
      const actor = await scene.actor()
      const [event, beside] = scene.events(2) as [BusEvent, BusEvent]
      await assert.rejects(actor.outbox.publish([event, beside, { ...event }]), refusalThatNames(event.id))
      actor.start()
      await scene.quiet()
      assert.deepEqual(actor.delivered, [])
    },
  },
  {
    name: "delivers each event by one of several outboxes, exactly once",
    when: ({ sharedStore }) => sharedStore === true,
    run: async (scene) => {
      const actors = [await scene.actor(), await scene.actor(), await scene.actor()]
      const [a, b, c] = actors as [(typeof actors)[0], (typeof actors)[0], (typeof actors)[0]]
      const events = scene.events(60)
      await a.outbox.publish(events.slice(0, 20))
      for (const actor of actors) actor.start(() => new Promise(setImmediate))
      await b.outbox.publish(events.slice(20, 40))
      await c.outbox.publish(events.slice(40))
      await scene.untilDelivered(events, ...actors)
      await scene.quiet()
      assertOnce(
        actors.flatMap(({ ids }) => ids),
        events,
      )
      assert.deepEqual(
        actors.flatMap(({ errors }) => errors),
        [],
        "losing an event to another outbox is no error",
      )
    },
  },
  {
    name: "shows and retries the dead letters of another outbox",
    when: ({ sharedStore }) => sharedStore === true,
    run: async (scene) => {
      const [worker, operator] = [await scene.actor(1), await scene.actor(1)]
      const event = scene.event()
      let isMended = false
      await operator.outbox.publish([event])
      worker.start(() => {
        if (!isMended) throw new Error("failure")
      })
      await scene.untilFailed(operator, event)
      isMended = true
      const runs = worker.delivered.length
      await operator.outbox.retryEvents([event.id])
      await scene.until("it is delivered", () => worker.delivered.length > runs)
      await scene.untilFailed(operator)
      assert.deepEqual(operator.delivered, [], "an outbox that is not started delivers nothing")
    },
  },
  {
    name: "leaves the rest to another outbox when it is stopped",
    when: ({ sharedStore, drainsOnStop }) => sharedStore === true && drainsOnStop !== true,
    run: async (scene) => {
      const [leaver, heir] = [await scene.actor(), await scene.actor()]
      const events = scene.events(8)
      const gate = scene.gate()
      await leaver.outbox.publish(events)
      leaver.start(() => gate.passed)
      await scene.until("a handler runs", () => leaver.delivered.length > 0)
      const stopped = leaver.outbox.stop()
      gate.open()
      await scene.inTime("stop resolves", stopped)
      heir.start()
      await scene.untilDelivered(events, leaver, heir)
      await scene.quiet()
      assertOnce([...leaver.ids, ...heir.ids], events)
    },
  },
  {
    name: "delivers what was published in a transaction when that is committed, not before",
    when: ({ transactions }) => transactions === true,
    run: async (scene) => {
      const actor = await scene.actor()
      const events = scene.events(3)
      const { transaction, commit } = await scene.begin()
      actor.start()
      await actor.outbox.publish(events.slice(0, 2), transaction)
      await actor.outbox.publish(events.slice(2), transaction)
      await scene.quiet()
      assert.deepEqual(actor.delivered, [], "nothing is delivered before the commit")
      await commit()
      await scene.untilDelivered(events, actor)
      await scene.quiet()
      assertOnce(actor.ids, events)
    },
  },
  {
    name: "never delivers what was published in a transaction that was given up",
    when: ({ transactions }) => transactions === true,
    run: async (scene) => {
      const actor = await scene.actor()
      const { transaction, rollback } = await scene.begin()
      const other = scene.event()
      actor.start()
      await actor.outbox.publish(scene.events(2), transaction)
      await rollback()
      await actor.outbox.publish([other])
      await scene.untilDelivered([other], actor)
      await scene.quiet()
      assertOnce(actor.ids, [other])
    },
  },
]

/** An error that tells the caller which event is at fault. */
function refusalThatNames(id: string): (error: unknown) => true {
  return (error) => {
    assert(error instanceof Error, "it is refused with an Error")
    assert(error.message.includes(id), `the error must name ${id}; it says: ${error.message}`)
    return true
  }
}
