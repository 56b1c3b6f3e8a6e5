/** How long a poll may claim events in, and what follows it. */
import { expect, it, vi } from "vitest"
import { deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import { resolveConfig } from "../config.ts"
import { EventTable } from "../test/event-operations.fixture.ts"
import { pass, useFakeClock } from "../test/fake-clock.fixture.ts"
import { Delivery } from "./delivery.ts"
import { Relay } from "./relay.ts"

useFakeClock()

function deliver(options: { processingTimeoutMs?: number } = {}): Delivery {
  const life = {
    ...new EventTable().life(),
    stuck: async () => ({ rows: [] }),
    recover: async () => undefined,
    recoveryFailed: () => {},
  }
  const client = { send: () => {} } as never
  return new Delivery(life, resolveConfig({ client, tableName: "outbox", ...options }))
}

it("does not look again once it has ended, although its last poll was unsure", async () => {
  const poll = deferred<"unsure">()
  vi.spyOn(Relay.prototype, "handleDue").mockReturnValue(poll.promise)
  const delivery = deliver()
  delivery.begin(
    async () => {},
    () => {},
  )
  await pass()
  const ended = delivery.end()
  poll.resolve("unsure")
  await ended
  expect(vi.getTimerCount()).toBe(0)
})

it.each([
  [30_000, 15_000],
  [1000, 500],
  [100, 250],
])(
  "with leases of %i ms it is %i ms: half a lease, but enough to get anything done",
  async (leaseMs, pollMs) => {
    const handleDue = vi.spyOn(Relay.prototype, "handleDue")
    const delivery = deliver({ processingTimeoutMs: leaseMs })
    delivery.begin(
      async () => {},
      () => {},
    )
    await pass()
    await delivery.end()
    expect(handleDue.mock.calls[0]?.[1]).toBe(pollMs)
  },
)
