import { ConfigurationError } from "outbox-event-bus"
import { expect, it, vi } from "vitest"
import { createOutbox, event } from "./outbox.fixture.ts"

const message = "Invalid option tableName: undefined."

it.each([undefined, null])(
  "is refused by name at the first use, not when the outbox is made: %o",
  async (none) => {
    const { outbox, send } = createOutbox({}, { tableName: none as unknown as string })
    await outbox.publish([])
    for (const use of [
      () => outbox.publish([event("e1")]),
      () => outbox.publish([event("e1")], { push: () => {} }),
      () => outbox.getFailedEvents(),
      () => outbox.retryEvents(["e1"]),
    ]) {
      await expect(use()).rejects.toThrow(ConfigurationError)
      await expect(use()).rejects.toThrow(message)
    }
    const start = () => outbox.start(async () => {}, vi.fn())
    expect(start).toThrow(ConfigurationError)
    expect(start).toThrow(message)
    await outbox.stop()
    expect(send).not.toHaveBeenCalled()
  },
)
