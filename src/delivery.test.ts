/** How long a poll may claim events in. */
import { expect, it, vi } from "vitest"
import { resolveConfig } from "./config.ts"
import { Delivery } from "./delivery.ts"
import { EventTable } from "./event-life.fixture.ts"
import { NOW, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { Relay } from "./relay.ts"

useFakeClock()

it.each([
  [30_000, 15_000],
  [1000, 500],
  [100, 250],
])(
  "with leases of %i ms it is %i ms: half a lease, but enough to get anything done",
  async (leaseMs, pollMs) => {
    const handleDue = vi.spyOn(Relay.prototype, "handleDue")
    const life = { ...new EventTable().life(), stuck: async () => ({ rows: [] }), recover: async () => {} }
    const delivery = new Delivery(
      life,
      resolveConfig({
        client: { send: () => {} } as never,
        tableName: "outbox",
        processingTimeoutMs: leaseMs,
      }),
    )
    delivery.begin(
      async () => {},
      () => {},
    )
    await pass()
    await delivery.end()
    expect(handleDue.mock.calls[0]?.[1]).toBe(NOW + pollMs)
  },
)
