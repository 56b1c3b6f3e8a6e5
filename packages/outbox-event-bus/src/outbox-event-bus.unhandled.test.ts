// Events whose type has no handler: what becomes of them, and who is told.

import { beforeEach, expect, it, vi } from "vitest"
import { ConfigurationError, OperationalError } from "./errors.ts"
import { ManualOutbox } from "./manual-outbox.fixture.ts"
import type { OutboxBusConfig } from "./outbox-event-bus.ts"
import { OutboxEventBus } from "./outbox-event-bus.ts"
import { RELEASE } from "./release.ts"

let outbox: ManualOutbox
const onError = vi.fn()
let types = 0
/** Each type is reported once in a process, so each test needs one of its own. */
const newType = () => `type-${++types}`

function startBus(config: Partial<OutboxBusConfig> = {}) {
  const bus = new OutboxEventBus(outbox, { onError, ...config })
  bus.start()
  return bus
}

const releasing = () => Object.assign(outbox, { [RELEASE]: true })

beforeEach(() => {
  outbox = new ManualOutbox()
  onError.mockReset()
})

it.each([undefined, null, "complete"])(
  "count as handled by default (%o), reported once per type",
  async (choice) => {
    startBus({ unhandledEvents: choice as never })
    const [type, other] = [newType(), newType()]
    for (let i = 0; i < 3; i++) await outbox.deliver({ type })
    await outbox.deliver({ type: other })
    startBus()
    await outbox.deliver({ type })
    expect(onError.mock.calls.map(([error]) => [error.name, error.eventType, error.message])).toEqual([
      ["UnhandledEventError", type, `No handler for event type "${type}": such events count as handled.`],
      ["UnhandledEventError", other, `No handler for event type "${other}": such events count as handled.`],
    ])
    expect(onError.mock.calls[0]?.[0]).toBeInstanceOf(OperationalError)
  },
)

it("fail each time where that is chosen, and are left to the outbox to report", async () => {
  startBus({ unhandledEvents: "fail" })
  const type = newType()
  for (let i = 0; i < 2; i++) {
    await expect(outbox.deliver({ type })).rejects.toMatchObject({
      name: "UnhandledEventError",
      eventType: type,
    })
  }
  expect(onError).not.toHaveBeenCalled()
})

it("are released where that is chosen, reported once", async () => {
  releasing()
  startBus({ unhandledEvents: "release" })
  const type = newType()
  for (let i = 0; i < 2; i++)
    await expect(outbox.deliver({ type })).rejects.toMatchObject({ [RELEASE]: true })
  expect(onError.mock.calls.map(([error]) => error.eventType)).toEqual([type])
})

it("are released whatever middleware makes of the error", async () => {
  releasing()
  const bus = startBus({ unhandledEvents: "release" })
  bus.addHandlerMiddleware((_, next) =>
    next().catch((cause) => Promise.reject(new Error("wrapped", { cause }))),
  )
  await expect(outbox.deliver({ type: newType() })).rejects.toMatchObject({ [RELEASE]: true })
})

it("can't be released with an outbox that does not say it can", () => {
  expect(() => startBus({ unhandledEvents: "release" })).toThrow(ConfigurationError)
  expect(() => startBus({ unhandledEvents: "release" })).toThrow(
    'Invalid unhandledEvents: "release". The outbox does not support it. Allowed: "complete", "fail".',
  )
})

it("an unknown choice is refused by its name", () => {
  expect(() => startBus({ unhandledEvents: "ignore" as never })).toThrow(
    'Invalid unhandledEvents: "ignore". Allowed: "complete", "fail".',
  )
})

it("a dropped event is nobody's fault", async () => {
  startBus({ unhandledEvents: "fail" }).addHandlerMiddleware((_, next) => next({ dropEvent: true }))
  await outbox.deliver({ type: newType() })
  expect(onError).not.toHaveBeenCalled()
})
