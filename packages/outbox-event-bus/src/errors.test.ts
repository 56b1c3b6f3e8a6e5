import { inspect } from "node:util"
import { runInNewContext } from "node:vm"
import { describe, expect, it, vi } from "vitest"
import * as core from "./index.ts"
import { anEvent } from "./manual-outbox.fixture.ts"

const cause = new Error("disk full")
const deadLetter = { ...anEvent({ payload: 1n }), error: "disk full", retryCount: 5 }

const examples = {
  BackpressureError: new core.BackpressureError("queue"),
  BatchSizeLimitError: new core.BatchSizeLimitError(100, 101),
  ConfigurationError: new core.ConfigurationError("wrong", { option: "x" }),
  DuplicateListenerError: new core.DuplicateListenerError("order.placed"),
  HandlerError: new core.HandlerError(cause, anEvent()),
  MaintenanceError: new core.MaintenanceError(cause),
  MaxRetriesExceededError: new core.MaxRetriesExceededError(cause, deadLetter),
  OperationalError: new core.OperationalError("down", { cause }),
  TimeoutError: new core.TimeoutError("order.placed", 50, { eventType: "order.placed" }),
  UnhandledEventError: new core.UnhandledEventError(anEvent(), "such events fail"),
  UnsupportedOperationError: new core.UnsupportedOperationError("retryEvents"),
  ValidationError: new core.ValidationError("bad"),
}

describe("every error", () => {
  it("is among the examples of this test", () => {
    const classes = Object.keys(core).filter((name) => name.endsWith("Error") && name !== "OutboxError")
    expect(Object.keys(examples)).toEqual(classes.filter((name) => /^[A-Z]/.test(name)).sort())
  })

  it.each(Object.entries(examples))(
    "%s is an OutboxError with its own name, also in the stack",
    (name, error) => {
      expect(error).toBeInstanceOf(core.OutboxError)
      expect(error).toBeInstanceOf(Error)
      expect(error.name).toBe(name)
      expect(error.stack).toMatch(new RegExp(`^${name}: `))
      expect(Object.keys(error)).not.toContain("name")
      expect(inspect(error)).toContain(error.message)
    },
  )

  it.each(Object.entries(examples))(
    "%s can be written as JSON, also with a payload that can't",
    (name, error) => {
      expect(JSON.parse(JSON.stringify(error))).toMatchObject({ name, message: error.message })
    },
  )
})

describe("the name", () => {
  it("does not come from the class's identifier, which a minifier shortens", async () => {
    vi.resetModules() // classes of which there has been no instance
    const fresh = await import("./errors.ts")
    for (const [name, errorClass] of Object.entries(fresh)) {
      Object.defineProperty(errorClass, "name", { value: "x" })
      const construct = errorClass as unknown as new (...args: unknown[]) => Error
      if (errorClass !== fresh.OutboxError) expect(new construct("a", anEvent()).name).toBe(name)
    }
  })

  it("is the class's own for a subclass that does nothing about it, and leaves its parent's alone", () => {
    class QueueFullError extends core.OperationalError {}
    expect(new QueueFullError("x").name).toBe("QueueFullError")
    expect(new QueueFullError("x").stack).toMatch(/^QueueFullError: x/)
    expect(new core.OperationalError("x").name).toBe("OperationalError")
  })

  it("can be replaced by a subclass, as a field or in the constructor", () => {
    class WithField extends core.ConfigurationError {
      override name = "Field"
    }
    class Assigned extends core.ConfigurationError {
      constructor() {
        super("x")
        this.name = "Constructor"
      }
    }
    expect(new WithField("x").name).toBe("Field")
    expect(new Assigned().name).toBe("Constructor")
  })
})

describe("the hierarchy", () => {
  it.each([
    [core.ConfigurationError, ["ConfigurationError", "DuplicateListenerError", "UnsupportedOperationError"]],
    [core.ValidationError, ["BatchSizeLimitError", "ValidationError"]],
    [
      core.OperationalError,
      [
        "BackpressureError",
        "MaintenanceError",
        "MaxRetriesExceededError",
        "OperationalError",
        "TimeoutError",
        "UnhandledEventError",
      ],
    ],
    [core.HandlerError, ["HandlerError"]],
  ])("%o is the parent of the right classes", (parent, family) => {
    const found = Object.entries(examples).filter(([, error]) => error instanceof parent)
    expect(found.map(([name]) => name)).toEqual(family)
  })
})

describe("context and cause", () => {
  it("keeps the context and makes its cause the native one", () => {
    const context = { cause, reason: 2 }
    const error = new core.OperationalError("down", context)
    expect(error.context).toBe(context)
    expect(error.cause).toBe(cause)
    error.context = { cause, reason: 3 }
    expect(error.context.reason).toBe(3)
  })

  it("has neither without a context, and no cause without one in it", () => {
    expect(Object.keys(new core.ValidationError("bad"))).toEqual([])
    expect("cause" in new core.ValidationError("bad", { path: "payload.x" })).toBe(false)
  })

  it("has the event and the cause in the context, beside what was given", () => {
    const event = anEvent()
    expect(new core.HandlerError(cause, event, { tenant: "t" }).context).toEqual({
      tenant: "t",
      cause,
      event,
    })
    const { context } = new core.MaxRetriesExceededError(cause, deadLetter, { tenant: "t" })
    expect(context).toEqual({ tenant: "t", cause, event: deadLetter })
    expect(examples.HandlerError.context?.event).toBe(examples.HandlerError.event)
    expect(new core.BackpressureError("queue", { size: 1 }).context).toEqual({ resource: "queue", size: 1 })
    expect(new core.MaintenanceError(cause, { step: 1 }).context).toEqual({ cause, step: 1 })
  })
})

describe("users' own classes", () => {
  it("name and describe themselves as the base class lets them", () => {
    class E extends core.OutboxError<{ id: number }> {
      constructor() {
        super("m", "E", { id: 1 })
      }
    }
    const error = new E()
    expect(error).toMatchObject({ name: "E", message: "m" })
    expect(Object.hasOwn(error, "name")).toBe(true)
    expect(error.context?.id).toBe(1)
    expect(error.stack).toMatch(/^E: m/)
    expect(error).toBeInstanceOf(E)
    expect(error).toBeInstanceOf(core.OutboxError)
    expect(error).not.toBeInstanceOf(core.OperationalError)
  })

  it("are not instances of each other, nor is a parent of its child", () => {
    class A extends core.OperationalError {}
    class B extends core.OperationalError {}
    expect(new A("x")).not.toBeInstanceOf(B)
    expect(new core.OperationalError("x")).not.toBeInstanceOf(A)
    expect(new core.ValidationError("x")).not.toBeInstanceOf(core.OperationalError)
  })
})

describe("another copy of the package in the process", () => {
  it.each(Object.entries(examples))("%s is an instance of the same classes there", async (name, error) => {
    vi.resetModules()
    const ourClasses: Record<string, unknown> = core
    const copy: Record<string, unknown> = await import("./errors.ts")
    for (const [className, errorClass] of Object.entries(copy)) {
      const ours = ourClasses[className] as typeof core.OutboxError
      expect(errorClass).not.toBe(ours)
      const isThere = (error as unknown) instanceof (errorClass as typeof core.OutboxError)
      expect([className, isThere]).toEqual([className, (error as unknown) instanceof ours])
    }
    expect((error as unknown) instanceof (copy[name] as typeof core.OutboxError)).toBe(true)
  })

  it("makes nothing else an instance", () => {
    for (const value of [null, undefined, "HandlerError", {}, new Error("x"), revokedProxy()]) {
      expect((value as unknown) instanceof core.OutboxError).toBe(false)
    }
  })
})

describe("what a log shows", () => {
  const payload: Record<string, unknown> = { card: "4111-1111", amount: 1n }
  payload.self = payload
  const event = anEvent({ id: "order-1", payload, metadata: { email: "a@b.c" } })
  const dead = { ...event, error: "no", retryCount: 5 }
  const errors = [
    new core.HandlerError(new Error("no stock"), event, { attempt: 2 }),
    new core.MaxRetriesExceededError(new Error("no stock"), dead),
    new core.ValidationError("bad payload", { event, cause: new Error("NaN") }),
    new core.UnhandledEventError(event, "such events fail"),
    new core.OperationalError("failed", { event, request: payload }),
  ]

  it.each(errors.map((error) => [error.name, error] as const))("of a %s, no payload", (_, error) => {
    const log = [inspect(error, { depth: 9 }), JSON.stringify(error), JSON.stringify({ err: error })]
    const spread = { ...error }
    for (const text of [...log, inspect(spread, { depth: 9 })]) {
      expect(text).not.toMatch(/4111|a@b\.c/)
      expect(text).toContain("order-1")
    }
    expect(spread).toMatchObject({ eventId: "order-1", eventType: "order.placed" })
  })

  it("says which attempt it was, and prints the cause", () => {
    expect({ ...errors[0] }).toEqual({ eventId: "order-1", eventType: "order.placed", attempt: 2 })
    expect(errors[1]).toMatchObject({ attempt: 5, retryCount: 5 })
    expect(inspect(errors[0])).toContain("no stock")
    expect(JSON.parse(JSON.stringify(errors[0]))).toEqual({
      name: "HandlerError",
      message: "Event handler failed: no stock",
      eventId: "order-1",
      eventType: "order.placed",
      attempt: 2,
      cause: { name: "Error", message: "no stock" },
    })
  })
})

describe("an error that can't be read", () => {
  const throwing = (property: string) =>
    Object.defineProperty(new Error("x"), property, {
      get() {
        throw new Error("gotcha")
      },
    })

  it.each<[string, () => unknown]>([
    ["a message that throws", () => throwing("message")],
    ["a name that throws", () => throwing("name")],
    ["a revoked Proxy", revokedProxy],
    ["an object without a prototype", () => Object.create(null)],
    ["a toString that gives no string", () => ({ toString: () => ({}) })],
    ["a symbol", () => Symbol("x")],
  ])("is a cause like any other: %s", (_, make) => {
    const thrown = make()
    const error = new core.HandlerError(thrown, anEvent())
    expect(error.message).toMatch(/^Event handler failed: /)
    expect(() => JSON.stringify(error)).not.toThrow()
    const onError = vi.fn()
    core.reportEventError(onError, thrown, anEvent(), 1, 5)
    expect(onError.mock.calls[0]?.[0]).toBeInstanceOf(core.HandlerError)
  })

  it("may be of another realm", () => {
    expect(core.formatErrorMessage(runInNewContext("new TypeError('elsewhere')"))).toBe("elsewhere")
  })
})

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

describe("the messages", () => {
  it("say what the contract says", () => {
    expect(examples.BatchSizeLimitError.message).toBe(
      "Cannot publish 101 events because the batch size limit is 100.",
    )
    expect(examples.TimeoutError.message).toBe("Timed out waiting for order.placed after 50ms")
    expect(examples.MaintenanceError.message).toBe("Maintenance operation failed: disk full")
    expect(examples.MaxRetriesExceededError.message).toBe("Max retries exceeded (5). Event moved to DLQ.")
    expect(examples.HandlerError.message).toBe("Event handler failed: disk full")
    expect(examples.DuplicateListenerError.message).toBe(
      'Event type "order.placed" already has a listener. You can only register one handler per event type.',
    )
    expect(examples.UnsupportedOperationError.message).toBe(
      "Underlying outbox adapter does not support management operation: retryEvents",
    )
    expect(examples.BackpressureError.message).toBe("Failed to publish to queue: buffer full (backpressure)")
  })

  it("name what is wrong", () => {
    expect(new core.UnsupportedOperationError("retryEvents", "QueueOutbox").message).toContain("QueueOutbox")
    expect(examples.UnhandledEventError.message).toBe(
      'No handler for event type "order.placed": such events fail.',
    )
  })

  it("carry their facts as context and fields", () => {
    expect(examples.BatchSizeLimitError.context).toEqual({ limit: 100, actual: 101 })
    expect(examples.TimeoutError.context).toEqual({
      operation: "order.placed",
      timeoutMs: 50,
      eventType: "order.placed",
    })
    expect(examples.MaxRetriesExceededError.event).toBe(deadLetter)
    expect(examples.MaxRetriesExceededError.retryCount).toBe(5)
    expect(examples.MaxRetriesExceededError.cause).toBe(cause)
    expect(examples.HandlerError.event).toEqual(anEvent())
    expect(examples.HandlerError.cause).toBe(cause)
  })
})

it("a line break in an event type does not break the line of a message", () => {
  expect(new core.DuplicateListenerError("a\nb").message).toContain('Event type "a\\nb" already has')
})
