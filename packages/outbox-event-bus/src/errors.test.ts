import { inspect } from "node:util"
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
    const context = { cause, attempt: 2 }
    const error = new core.OperationalError("down", context)
    expect(error.context).toBe(context)
    expect(error.cause).toBe(cause)
  })

  it("has neither without a context, and no cause without one in it", () => {
    expect(Object.keys(new core.ValidationError("bad"))).toEqual([])
    expect("cause" in new core.ValidationError("bad", { path: "payload.x" })).toBe(false)
  })

  it("writes context and cause as JSON, the cause once and an event without its payload", () => {
    expect(JSON.parse(JSON.stringify(examples.MaxRetriesExceededError))).toEqual({
      name: "MaxRetriesExceededError",
      message: "Max retries exceeded (5). Event moved to DLQ.",
      context: { eventId: "event-1", eventType: "order.placed", retryCount: 5 },
      cause: { name: "Error", message: "disk full" },
    })
    expect(new core.MaintenanceError("timeout").toJSON()).toEqual({
      name: "MaintenanceError",
      message: "Maintenance operation failed: timeout",
      cause: "timeout",
    })
    expect(new core.ValidationError("bad").toJSON()).toEqual({ name: "ValidationError", message: "bad" })
  })
})

describe("the messages", () => {
  it("say what the contract says", () => {
    expect(examples.BatchSizeLimitError.message).toBe(
      "Cannot publish 101 events because the batch size limit is 100.",
    )
    expect(examples.TimeoutError.message).toBe("Timed out waiting for order.placed after 50ms")
    expect(examples.MaintenanceError.message).toBe("Maintenance operation failed: disk full")
    expect(examples.MaxRetriesExceededError.message).toBe("Max retries exceeded (5). Event moved to DLQ.")
    expect(examples.HandlerError.message).toBe("Event handler failed: disk full")
  })

  it("name what is wrong", () => {
    expect(examples.DuplicateListenerError.message).toContain('"order.placed"')
    expect(examples.UnsupportedOperationError.message).toContain('"retryEvents"')
    expect(examples.UnsupportedOperationError.message).toContain("adapter")
    expect(new core.UnsupportedOperationError("retryEvents", "QueueOutbox").message).toContain("QueueOutbox")
    expect(examples.BackpressureError.message).toContain("queue")
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
