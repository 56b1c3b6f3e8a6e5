/** What a handler learns of its run, and when it is told to give up. */
import { OperationalError, OutboxEventBus, TimeoutError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import { getHandlerContext, type HandlerContext } from "../index.ts"
import { LEASE_MS } from "../test/event-operations.fixture.ts"
import { delay, pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { createOutbox, event, holding, item } from "../test/outbox.fixture.ts"
import { createRelay } from "../test/relay.fixture.ts"
import type { Claim } from "./event-operations.ts"
import { HandlerContexts } from "./handler-context.ts"

useFakeClock()

/**
 * A relay whose handler runs for event a until it is let go. It has waited, claimed, for 300 ms behind another one: so its
 * lease must be renewed before its own time has expired.
 */
async function startOne(options: Parameters<typeof createRelay>[0] = {}) {
  // The lease is renewed as late as may be: after the handler has started.
  vi.spyOn(Math, "random").mockReturnValue(0)
  const all = createRelay(options)
  all.table.putAll(["before", "a"])
  const end = deferred()
  let context: HandlerContext | undefined
  all.onEvent(async ({ id }) => {
    if (id === "before") return delay(300)
    context = getHandlerContext()
    await end.promise
  })
  const done = all.poll()
  await pass(300)
  return { ...all, end, done, context: context as unknown as HandlerContext }
}

const reasonOf = ({ signal }: HandlerContext) => signal.reason?.context?.reason

describe("getHandlerContext", () => {
  it("tells attempt and maxRetries, through the bus, its middleware and awaits; the handler gets the event alone", async () => {
    const all = createOutbox(holding(item("e1", { retryCount: 2 })), { maxRetries: 7 })
    const bus = new OutboxEventBus(all.outbox, (error) => all.errors.push(error))
    const seen: unknown[] = []
    bus.addHandlerMiddleware(async (_, next) => {
      await null
      seen.push(getHandlerContext()?.attempt)
      await next()
      seen.push(getHandlerContext()?.attempt)
    })
    const handler = vi.fn(async () => {
      await new Promise((resolve) => setTimeout(resolve, 10))
      seen.push(getHandlerContext())
    })
    bus.on("order.placed", handler)
    bus.start()
    await pass(20)
    await bus.stop()
    expect(all.errors).toEqual([])
    expect(handler).toHaveBeenCalledExactlyOnceWith(event("e1"))
    expect(seen).toEqual([3, expect.objectContaining({ attempt: 3, maxRetries: 7 }), 3])
  })

  it("is undefined outside a handler, and in what a handler leaves running when it has ended", async () => {
    const all = createOutbox(holding(item("e1")))
    const later = deferred()
    const left: Promise<unknown>[] = []
    all.onEvent(async () => {
      left.push(later.promise.then(() => getHandlerContext()))
      expect(getHandlerContext()).toBeDefined()
    })
    all.start()
    await pass()
    await all.outbox.stop()
    later.resolve()
    expect(await Promise.all(left)).toEqual([undefined])
    expect(all.errors).toEqual([])
    expect(getHandlerContext()).toBeUndefined()
  })

  it("keeps handlers that run side by side apart", async () => {
    const items = [0, 1, 2].map((retryCount) => item(`e${retryCount}`, { retryCount }))
    const all = createOutbox(holding(...items), { concurrency: 3 })
    const meeting = deferred()
    const attempts: Record<string, number | undefined> = {}
    const signals = new Set<AbortSignal | undefined>()
    all.onEvent(async ({ id }) => {
      await meeting.promise
      attempts[id] = getHandlerContext()?.attempt
      signals.add(getHandlerContext()?.signal)
    })
    all.start()
    await pass()
    meeting.resolve()
    await pass()
    await all.outbox.stop()
    expect(attempts).toEqual({ e0: 1, e1: 2, e2: 3 })
    expect(signals.size).toBe(3)
  })

  it("counts maxRetries 0 as the one attempt that it is", async () => {
    const { context, end, done } = await startOne({ maxRetries: 0 })
    expect(context).toMatchObject({ attempt: 1, maxRetries: 1 })
    end.resolve()
    await done
  })

  it("is found through a second copy of the package in the same process", async () => {
    vi.resetModules()
    const second = await import("./handler-context.ts")
    expect(second.getHandlerContext).not.toBe(getHandlerContext)
    const all = createOutbox(holding(item("e1")))
    const seen: unknown[] = []
    all.onEvent(async () => {
      seen.push(second.getHandlerContext() === getHandlerContext(), second.getHandlerContext()?.attempt)
    })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(seen).toEqual([true, 1])
  })
})

describe("the signal", () => {
  it("does not fire while all is well, over several leases of waiting and renewing", async () => {
    const { context, end, done } = await startOne()
    const { signal } = context
    expect(context.signal).toBe(signal)
    await pass(LEASE_MS - 10)
    expect(signal.aborted).toBe(false)
    end.resolve()
    await done
    await pass(10 * LEASE_MS)
    expect(signal.aborted).toBe(false)
  })

  it("fires when the handler's own time has expired", async () => {
    const { context, end, done } = await startOne()
    const { signal } = context
    await pass(LEASE_MS)
    expect(signal.aborted).toBe(true)
    expect(signal.reason).toBeInstanceOf(TimeoutError)
    expect(signal.reason.message).toBe(`Timed out waiting for the handler of event "a" after ${LEASE_MS}ms`)
    expect(signal.reason.context).toMatchObject({ eventId: "a", reason: "timeout" })
    end.resolve()
    await done
  })

  it("fires when a renewal shows that another worker has the event", async () => {
    const { context, table, end, done } = await startOne()
    const { signal } = context
    table.takeAway("a")
    await pass(LEASE_MS * 0.8)
    expect(signal.reason).toBeInstanceOf(OperationalError)
    expect(signal.reason.message).toBe('Lost the claim on event "a": another worker has taken it')
    expect(reasonOf(context)).toBe("claim-lost")
    end.resolve()
    await done
  })

  it("fires when the lease expires because no renewal succeeds, before the handler's own time has expired", async () => {
    const { context, life, end, done } = await startOne()
    const { signal } = context
    life.renew.mockRejectedValue(new Error("no connection"))
    await pass(LEASE_MS - 300 - 1)
    expect(signal.aborted).toBe(false)
    await pass(1)
    expect(reasonOf(context)).toBe("claim-lost")
    expect(signal.reason.message).toContain("the lease has expired")
    end.resolve()
    await done
  })

  it("fires two seconds before a stop has waited for ten, and not before", async () => {
    const all = createOutbox(holding(item("e1"), item("e2")), { concurrency: 2 })
    const [first, second] = [deferred(), deferred()]
    const contexts: HandlerContext[] = []
    all.onEvent(({ id }) => {
      contexts.push(getHandlerContext() as HandlerContext)
      return id === "e1" ? first.promise : second.promise
    })
    all.start()
    await pass()
    const [e1, e2] = contexts as [HandlerContext, HandlerContext]
    void e1.signal
    const stopped = all.outbox.stop()
    await pass(7999)
    expect(e1.signal.aborted).toBe(false)
    await pass(1)
    expect(reasonOf(e1)).toBe("stopping")
    // One that asks only then is told, too.
    expect(reasonOf(e2)).toBe("stopping")
    // Rejecting with the reason is no failure.
    first.reject(e1.signal.reason)
    second.resolve()
    await stopped
    expect(all.errors).toEqual([])
    expect(all.inputsOf("fail")).toEqual([])
    expect(all.inputsOf("release").map(({ Key }) => Key.id)).toEqual(["e1"])
    expect(vi.getTimerCount()).toBe(0)
  })

  it("of a handler that starts while the outbox stops fires after two seconds at the earliest", async () => {
    const contexts = new HandlerContexts({ maxRetries: 5, processingTimeoutMs: 30_000 })
    contexts.stop()
    await pass(9000)
    const lease = { id: "late", token: "t", leaseEndsAt: Date.now() + 30_000, dueAt: 0 }
    const claim = { lease, retryCount: 0, event: event("late") } as Claim
    const end = deferred()
    let context: HandlerContext | undefined
    const run = contexts.run(claim, { lease, suspicion: "none" }, async () => {
      context = getHandlerContext()
      await end.promise
    })
    expect(context?.signal.aborted).toBe(false)
    await pass(1999)
    expect(context?.signal.aborted).toBe(false)
    await pass(1)
    expect(reasonOf(context as HandlerContext)).toBe("stopping")
    end.resolve()
    await run
  })

  it("tells of the timeout, not of a loss, when the lease of a running event ends with the handler's own time", async () => {
    const contexts = new HandlerContexts({ maxRetries: 5, processingTimeoutMs: 30_000 })
    const lease = { id: "e1", token: "t", leaseEndsAt: Date.now() + 30_000, dueAt: 0 }
    const held = { lease, suspicion: "none" as const, startedAt: performance.now() }
    const end = deferred()
    let context: HandlerContext | undefined
    // The lease counts from the start that the relay has noted.
    await pass(1)
    const run = contexts.run({ lease, retryCount: 0, event: event("e1") } as Claim, held, async () => {
      context = getHandlerContext()
      await end.promise
    })
    expect(context?.signal.aborted).toBe(false)
    await pass(29_999)
    expect(reasonOf(context as HandlerContext)).toBe("timeout")
    end.resolve()
    await run
  })

  it("fires when the lease has ended by the monotonic clock, though the other one was set back", async () => {
    const { context, life, end, done } = await startOne()
    const { signal } = context
    life.renew.mockRejectedValue(new Error("no connection"))
    vi.setSystemTime(Date.now() - 3_600_000)
    await pass(LEASE_MS - 300)
    expect(reasonOf(context)).toBe("claim-lost")
    expect(signal.aborted).toBe(true)
    end.resolve()
    await done
  })

  it("that is first asked for when the claim is lost already has fired", async () => {
    const { context, table, end, done } = await startOne()
    table.takeAway("a")
    await pass(LEASE_MS * 0.8)
    expect(context.signal.aborted).toBe(true)
    end.resolve()
    await done
  })

  it("of a run that has ended never fires, and leaves no timer", async () => {
    const { context, end, done, relay } = await startOne()
    end.resolve()
    await done
    await relay.stop()
    expect(context.signal.aborted).toBe(false)
    await pass(10 * LEASE_MS)
    expect(context.signal.aborted).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("ends what the handler waits for: a stop need not wait for it any longer", async () => {
    const all = createOutbox(holding(item("e1")))
    all.onEvent(
      () =>
        new Promise((_, reject) => {
          const signal = getHandlerContext()?.signal as AbortSignal
          signal.addEventListener("abort", () => reject(signal.reason))
        }),
    )
    all.start()
    await pass()
    const stopped = all.outbox.stop()
    await pass(8000)
    await stopped
    expect(all.steps()).toContain("release")
    expect(all.errors).toEqual([])
  })
})
