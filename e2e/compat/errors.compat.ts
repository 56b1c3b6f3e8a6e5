/** Error classes: what they are called with, what they say and hold, and how users extend them. */
import { inspect } from "node:util"
import {
  BackpressureError,
  BatchSizeLimitError,
  ConfigurationError,
  DuplicateListenerError,
  formatErrorMessage,
  HandlerError,
  MaintenanceError,
  MaxRetriesExceededError,
  OperationalError,
  OutboxError,
  reportEventError,
  TimeoutError,
  UnsupportedOperationError,
  ValidationError,
} from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { anEvent } from "./recording-outbox.ts"

const cause = new Error("boom")
const event = anEvent()
const deadLetter = { ...event, retryCount: 5, error: "boom" }
const more = { tenant: "t-1" }

interface Case {
  name: string
  error: OutboxError
  parents: (abstract new (...args: never[]) => Error)[]
  message: string
  /** What `context` holds at least. */
  context: Record<string, unknown>
}

const CASES: Case[] = [
  {
    name: "ConfigurationError",
    error: new ConfigurationError("bad option", { ...more, cause }),
    parents: [],
    message: "bad option",
    context: { ...more, cause },
  },
  {
    name: "DuplicateListenerError",
    error: new DuplicateListenerError("order.placed"),
    parents: [ConfigurationError],
    message:
      'Event type "order.placed" already has a listener. You can only register one handler per event type.',
    context: { eventType: "order.placed" },
  },
  {
    name: "UnsupportedOperationError",
    error: new UnsupportedOperationError("getFailedEvents"),
    parents: [ConfigurationError],
    message: "Underlying outbox adapter does not support management operation: getFailedEvents",
    context: { operation: "getFailedEvents", adapterName: "adapter" },
  },
  {
    name: "UnsupportedOperationError",
    error: new UnsupportedOperationError("retryEvents", "MyOutbox"),
    parents: [ConfigurationError],
    message: expect.stringContaining("does not support management operation: retryEvents"),
    context: { operation: "retryEvents", adapterName: "MyOutbox" },
  },
  {
    name: "ValidationError",
    error: new ValidationError("bad data", more),
    parents: [],
    message: "bad data",
    context: more,
  },
  {
    name: "BatchSizeLimitError",
    error: new BatchSizeLimitError(100, 101),
    parents: [ValidationError],
    message: "Cannot publish 101 events because the batch size limit is 100.",
    context: { limit: 100, actual: 101 },
  },
  {
    name: "OperationalError",
    error: new OperationalError("Polling cycle failed", { cause }),
    parents: [],
    message: "Polling cycle failed",
    context: { cause },
  },
  {
    name: "TimeoutError",
    error: new TimeoutError("the lock", 250, more),
    parents: [OperationalError],
    message: "Timed out waiting for the lock after 250ms",
    context: { operation: "the lock", timeoutMs: 250, ...more },
  },
  {
    name: "BackpressureError",
    error: new BackpressureError("orders", more),
    parents: [OperationalError],
    message: "Failed to publish to orders: buffer full (backpressure)",
    context: { resource: "orders", ...more },
  },
  {
    name: "MaintenanceError",
    error: new MaintenanceError(cause, more),
    parents: [OperationalError],
    message: "Maintenance operation failed: boom",
    context: { cause, ...more },
  },
  {
    name: "HandlerError",
    error: new HandlerError(cause, event, more),
    parents: [],
    message: "Event handler failed: boom",
    context: { cause, event, ...more },
  },
  {
    name: "MaxRetriesExceededError",
    error: new MaxRetriesExceededError(cause, deadLetter, more),
    parents: [OperationalError],
    message: "Max retries exceeded (5). Event moved to DLQ.",
    context: { cause, event: deadLetter, ...more },
  },
]

describe.each(CASES)("$name", ({ name, error, parents, message, context }) => {
  it("has the text, and a name of its own", () => {
    expect(error.message).toEqual(message)
    expect(Object.hasOwn(error, "name")).toBe(true)
    expect(error.name).toBe(name)
  })

  it("is an instance of its parents", () => {
    for (const parent of [...parents, OutboxError, Error]) expect(error).toBeInstanceOf(parent)
  })

  it("has a context with what it was given, and the cause of it", () => {
    for (const [name, value] of Object.entries(context))
      expect(error.context, name).toHaveProperty(name, value)
    expect(error.cause).toBe(context.cause)
  })

  it("has a context that can be written but is not enumerated", () => {
    const written: Record<string, unknown> = error as never
    const before = error.context
    expect(Object.keys(error)).not.toContain("context")
    written.context = { replaced: true }
    expect(error.context).toEqual({ replaced: true })
    expect(Object.keys(error)).not.toContain("context")
    written.context = before
  })
})

describe("errors of an event", () => {
  const secret = anEvent({ payload: { card: "4111 1111" } })
  it.each([
    new HandlerError(cause, secret),
    new MaxRetriesExceededError(cause, { ...secret, retryCount: 5 }),
    new OperationalError("failed", { event: secret }),
  ])("$name is read as error.context.event, and never printed with its payload", (error) => {
    expect(error.context?.event).toMatchObject(secret)
    for (const printed of [
      inspect(error, { depth: 9 }),
      JSON.stringify(error),
      JSON.stringify({ ...error }),
    ]) {
      expect(printed).not.toContain("4111")
    }
  })

  it("have the event itself, and the count", () => {
    expect(new HandlerError(cause, event).event).toBe(event)
    const last = new MaxRetriesExceededError(cause, deadLetter)
    expect(last.event).toBe(deadLetter)
    expect(last.retryCount).toBe(5)
  })
})

describe("a user's subclass", () => {
  it("of OutboxError gives its name and context", () => {
    class PaymentError extends OutboxError<{ paymentId: number }> {
      constructor() {
        super("no money", "PaymentError", { paymentId: 1 })
      }
    }
    const error = new PaymentError()
    expect(error).toBeInstanceOf(OutboxError)
    expect(error).toMatchObject({ message: "no money", name: "PaymentError" })
    expect(error.context).toEqual({ paymentId: 1 })
    expect(error.stack).toContain("no money")
  })

  it("of OutboxError needs no context", () => {
    class BareError extends OutboxError {
      constructor() {
        super("bare", "BareError")
      }
    }
    expect(new BareError().name).toBe("BareError")
    expect(new BareError().cause).toBeUndefined()
  })

  it.each([
    ["ConfigurationError", () => new (class extends ConfigurationError<{ a: number }> {})("m", { a: 1 })],
    ["ValidationError", () => new (class extends ValidationError<{ a: number }> {})("m", { a: 1 })],
    ["OperationalError", () => new (class extends OperationalError<{ a: number }> {})("m", { a: 1 })],
    ["TimeoutError", () => new (class extends TimeoutError {})("m", 1, { a: 1 })],
    ["BackpressureError", () => new (class extends BackpressureError {})("m", { a: 1 })],
    ["MaintenanceError", () => new (class extends MaintenanceError<{ a: number }> {})(cause, { a: 1 })],
    ["HandlerError", () => new (class extends HandlerError<{ a: number }> {})(cause, event, { a: 1 })],
    [
      "MaxRetriesExceededError",
      () => new (class extends MaxRetriesExceededError<{ a: number }> {})(cause, deadLetter, { a: 1 }),
    ],
  ])("of %s passes on its context, and may name itself", (_, create) => {
    const error = create()
    expect({ ...error.context }).toMatchObject({ a: 1 })
    error.name = "Renamed"
    expect(String(error)).toMatch(/^Renamed: /)
    expect(error).toBeInstanceOf(OutboxError)
  })
})

describe("reportEventError", () => {
  it("reports a HandlerError while attempts are left", () => {
    const onError = vi.fn()
    reportEventError(onError, cause, event, 5, 5)
    expect(onError).toHaveBeenCalledExactlyOnceWith(expect.any(HandlerError))
    expect(onError.mock.lastCall?.[0]).toMatchObject({ cause, event })
  })

  it("reports a MaxRetriesExceededError when there are more failures than retries", () => {
    const onError = vi.fn()
    reportEventError(onError, cause, event, 6, 5)
    const [error] = onError.mock.lastCall ?? []
    expect(error).toBeInstanceOf(MaxRetriesExceededError)
    expect(error).toMatchObject({
      cause,
      retryCount: 6,
      message: "Max retries exceeded (6). Event moved to DLQ.",
    })
    expect(error.event).toMatchObject({ ...event, retryCount: 6 })
  })

  it("does nothing without an error handler", () => {
    expect(reportEventError(undefined, cause, event, 1, 5)).toBeUndefined()
  })
})

it.each([
  [new Error("boom"), "boom"],
  ["text", "text"],
  [42, "42"],
  [undefined, "undefined"],
  [null, "null"],
])("formatErrorMessage(%s) is an error's message, or the value as a string", (value, expected) => {
  expect(formatErrorMessage(value)).toBe(expected)
})
