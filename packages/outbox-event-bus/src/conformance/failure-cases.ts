// What becomes of events whose handler fails: retries, reports, dead letters, and their way back.

import assert from "node:assert/strict"
import type { OutboxError } from "../errors.ts"
import type { BusEvent } from "../event.ts"
import { assertOnce, type Scene, type SceneCase } from "./scene.ts"

// By name and not by class: the suite and the outbox may have the core in two module formats.
const HANDLER_ERROR = "HandlerError"
const MAX_RETRIES_EXCEEDED = "MaxRetriesExceededError"

const names = (errors: readonly OutboxError[]) => errors.map(({ name }) => name)
const eventOf = (error: OutboxError | undefined) => (error as { event?: BusEvent } | undefined)?.event

export const FAILURE_CASES: readonly SceneCase[] = [
  {
    name: "tries a failed event again until its handler succeeds, and reports each failure once with event and cause",
    run: async (scene) => {
      const actor = await scene.actor(3)
      const event = scene.event({ metadata: { tenant: "a" } })
      const causes = [new Error("first failure"), new Error("second failure")]
      await actor.outbox.publish([event])
      actor.start(() => {
        const cause = causes[actor.delivered.length - 1]
        if (cause) throw cause
      })
      await scene.until("the handler has run three times", () => actor.delivered.length >= 3)
      await scene.quiet()
      for (const delivered of actor.delivered) assert.deepEqual({ ...delivered }, event)
      assert.equal(actor.delivered.length, 3, "no run follows the one that succeeded")
      assert.deepEqual(names(actor.errors), [HANDLER_ERROR, HANDLER_ERROR])
      assert.deepEqual(
        actor.errors.map(({ cause }) => cause),
        causes,
      )
      assert.deepEqual(
        actor.errors.map((error) => eventOf(error)?.id),
        [event.id, event.id],
      )
      assert.deepEqual(await actor.failedIds(), [], "an event that was delivered is no dead letter")
    },
  },
  ...[1, 2, 3].map(
    (maxRetries): SceneCase => ({
      name: `gives an event up after the declared number of runs, with maxRetries = ${maxRetries}`,
      run: async (scene) => {
        const actor = await scene.actor(maxRetries)
        const event = scene.event()
        const runs = scene.handlerRuns(maxRetries)
        await actor.outbox.publish([event])
        actor.start(() => {
          throw new Error(`failure ${actor.delivered.length}`)
        })
        await scene.untilFailed(actor, event)
        await scene.until("the dead letter is reported", () => actor.errors.length >= runs)
        await scene.quiet()
        assert.equal(actor.delivered.length, runs, "runs of the handler")
        const reports = [...Array<string>(runs - 1).fill(HANDLER_ERROR), MAX_RETRIES_EXCEEDED]
        assert.deepEqual(names(actor.errors), reports, "MaxRetriesExceededError is the last report")
        const last = actor.errors.at(-1)
        assert.equal(
          (last?.cause as Error | undefined)?.message,
          `failure ${runs}`,
          "with the last failure as its cause",
        )
        assert.equal(eventOf(last)?.id, event.id)
        assert.equal((last as { retryCount?: number }).retryCount, runs)
      },
    }),
  ),
  {
    name: "lists a dead letter with its data, error, retry count and time",
    run: async (scene) => {
      const actor = await scene.actor(2)
      const event = scene.event({ metadata: { tenant: "a" }, payload: { order: { lines: [1, 2] } } })
      const before = Date.now()
      await actor.outbox.publish([event])
      actor.start(() => {
        throw new Error(`failure ${actor.delivered.length}`)
      })
      await scene.untilFailed(actor, event)
      const [letter] = await actor.outbox.getFailedEvents()
      const { error, retryCount, lastAttemptAt, ...published } = letter ?? assert.fail()
      assert.deepEqual(published, event)
      assert.equal(error, `failure ${scene.handlerRuns(2)}`, "the last failure")
      assert(scene.deadLetterCounts(2).includes(retryCount), `its retry count, ${retryCount}`)
      assert(lastAttemptAt instanceof Date, "lastAttemptAt is a Date")
      assert(lastAttemptAt.getTime() >= before && lastAttemptAt.getTime() <= Date.now())
    },
  },
  {
    name: "lists dead letters in the order of occurrence, the newest first",
    when: ({ deadLetterOrder }) => deadLetterOrder !== "as dead-lettered",
    run: async (scene) => {
      const [a, b, c, d] = scene.events(4) as [BusEvent, BusEvent, BusEvent, BusEvent]
      assert.deepEqual(await deadLetterOneByOne(scene, [c, a, d, b]), [d.id, c.id, b.id, a.id])
    },
  },
  {
    name: "lists dead letters in the order in which they were dead-lettered",
    when: ({ deadLetterOrder }) => deadLetterOrder === "as dead-lettered",
    run: async (scene) => {
      const [a, b, c, d] = scene.events(4) as [BusEvent, BusEvent, BusEvent, BusEvent]
      assert.deepEqual(await deadLetterOneByOne(scene, [c, a, d, b]), [c.id, a.id, d.id, b.id])
    },
  },
  {
    name: "takes whatever a handler throws",
    run: async (scene) => {
      const actor = await scene.actor(1)
      const thrown = ["a string", undefined, null, 42, Object.create(null), new Error("")]
      const events = scene.events(thrown.length)
      await actor.outbox.publish(events)
      actor.start(({ id }) => {
        throw thrown[events.findIndex((event) => event.id === id)]
      })
      await scene.untilFailed(actor, ...events)
      const letter = (await actor.outbox.getFailedEvents()).find(({ id }) => id === events[0]?.id)
      assert.equal(letter?.error, "a string")
    },
  },
  {
    name: "delivers the events beside one that fails",
    run: async (scene) => {
      const actor = await scene.actor(2)
      const events = scene.events(10)
      const [poison, ...others] = events as [BusEvent, ...BusEvent[]]
      await actor.outbox.publish(events)
      actor.start(({ id }) => {
        if (id === poison.id) throw new Error("poison")
      })
      await scene.untilFailed(actor, poison)
      await scene.untilDelivered(others, actor)
      assertOnce(
        actor.ids.filter((id) => id !== poison.id),
        others,
      )
    },
  },
  ...[
    { kind: "throws", fail: (error: Error) => assert.fail(error) },
    { kind: "rejects", fail: (error: Error) => Promise.reject(error) as never },
  ].map(
    ({ kind, fail }): SceneCase => ({
      name: `is not disturbed by an onError that ${kind}`,
      run: async (scene) => {
        const actor = await scene.actor(2)
        const [poison, other] = scene.events(2) as [BusEvent, BusEvent]
        await actor.outbox.publish([poison])
        actor.start(
          ({ id }) => {
            if (id === poison.id) throw new Error("poison")
          },
          () => fail(harmlessError()),
        )
        await scene.untilFailed(actor, poison)
        await actor.outbox.publish([other])
        await scene.untilDelivered([other], actor)
        assert.equal(actor.runsOf(poison.id), scene.handlerRuns(2), "runs of the handler")
        await scene.inTime("stop resolves", actor.outbox.stop())
      },
    }),
  ),
  {
    name: "delivers a retried dead letter again, with all its attempts before it",
    run: async (scene) => {
      const actor = await scene.actor(2)
      const [mended, hopeless] = scene.events(2) as [BusEvent, BusEvent]
      const runs = scene.handlerRuns(2)
      let isMended = false
      await actor.outbox.publish([mended, hopeless])
      actor.start(({ id }) => {
        if (id === hopeless.id || !isMended) throw new Error("failure")
      })
      await scene.untilFailed(actor, mended, hopeless)
      isMended = true
      await actor.outbox.retryEvents([mended.id, hopeless.id])
      await scene.until("the mended one is delivered", () => actor.runsOf(mended.id) === runs + 1)
      await scene.until("the other has had all its attempts", () => actor.runsOf(hopeless.id) === 2 * runs)
      await scene.untilFailed(actor, hopeless)
      await scene.quiet()
      assert.equal(actor.runsOf(mended.id), runs + 1)
      assert.equal(actor.runsOf(hopeless.id), 2 * runs)
      const redelivered = actor.delivered.findLast(({ id }) => id === mended.id)
      assert.deepEqual({ ...redelivered }, mended)
      const [letter] = await actor.outbox.getFailedEvents()
      const { retryCount } = letter ?? assert.fail()
      assert(
        scene.deadLetterCounts(2).includes(retryCount),
        `its retry count, ${retryCount}, began at 0 again`,
      )
    },
  },
  {
    name: "retries no dead letters but those that are named",
    run: async (scene) => {
      const actor = await scene.actor(1)
      const [chosen, ...others] = scene.events(3) as [BusEvent, BusEvent, BusEvent]
      let isMended = false
      await actor.outbox.publish([chosen, ...others])
      actor.start(() => {
        if (!isMended) throw new Error("failure")
      })
      await scene.untilFailed(actor, chosen, ...others)
      isMended = true
      const runsBefore = actor.delivered.length
      await actor.outbox.retryEvents([chosen.id])
      await scene.untilFailed(actor, ...others)
      await scene.quiet()
      assert.deepEqual(actor.ids.slice(runsBefore), [chosen.id])
    },
  },
  {
    name: "ignores a retry of no ids, of unknown ids and of events that are no dead letters",
    run: async (scene) => {
      const actor = await scene.actor()
      const [delivered, running] = scene.events(2) as [BusEvent, BusEvent]
      const gate = scene.gate()
      actor.start(({ id }) => (id === running.id ? gate.passed : undefined))
      await actor.outbox.publish([delivered])
      await scene.untilDelivered([delivered], actor)
      await actor.outbox.publish([running])
      await scene.untilDelivered([running], actor)
      await actor.outbox.retryEvents([])
      await actor.outbox.retryEvents([delivered.id, running.id, "an id that nobody published"])
      await scene.quiet()
      gate.open()
      await scene.quiet()
      assertOnce(actor.ids, [delivered, running])
      assert.deepEqual(await actor.failedIds(), [])
      assert.deepEqual(actor.errors, [])
    },
  },
]

/** Publishes each event when the one before is a dead letter, and returns the ids as the outbox lists them. */
async function deadLetterOneByOne<T>(scene: Scene<T>, events: readonly BusEvent[]): Promise<string[]> {
  const actor = await scene.actor(1)
  actor.start(() => {
    throw new Error("failure")
  })
  for (const [i, event] of events.entries()) {
    await actor.outbox.publish([event])
    await scene.untilFailed(actor, ...events.slice(0, i + 1))
  }
  return actor.failedIds()
}

/** It shows up in a process warning; without its stack, which would tell nothing. */
function harmlessError(): Error {
  return Object.assign(new Error("a failure of onError, as the conformance suite wants it"), { stack: "" })
}
