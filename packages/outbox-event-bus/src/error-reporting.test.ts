import { afterEach, describe, expect, it, vi } from "vitest"
import { allPromisesRun } from "./deferred.fixture.ts"
import { formatErrorMessage } from "./error-message.ts"
import { reportError, reportEventError } from "./error-reporting.ts"
import { HandlerError, MaxRetriesExceededError, type OutboxError } from "./errors.ts"
import { anEvent } from "./manual-outbox.fixture.ts"

afterEach(() => void vi.restoreAllMocks())

const failure = new Error("no stock")

function reported(retryCount: number, maxRetries: number, event = anEvent()): OutboxError {
  const onError = vi.fn()
  reportEventError(onError, failure, event, retryCount, maxRetries)
  expect(onError).toHaveBeenCalledOnce()
  return onError.mock.calls[0]?.[0]
}

describe("reportEventError", () => {
  it("reports a HandlerError while retryCount is at most maxRetries", () => {
    const event = anEvent()
    const error = reported(3, 3, event)
    expect(error).toBeInstanceOf(HandlerError)
    expect(error).toMatchObject({ event, cause: failure })
  })

  it("reports a MaxRetriesExceededError with the dead letter above that", () => {
    const error = reported(4, 3)
    expect(error).toBeInstanceOf(MaxRetriesExceededError)
    expect(error).toMatchObject({
      message: "Max retries exceeded (4). Event moved to DLQ.",
      event: { ...anEvent(), error: "no stock", retryCount: 4, lastAttemptAt: expect.any(Date) },
      retryCount: 4,
      cause: failure,
    })
  })

  it.each([
    [
      "throws",
      () => {
        throw new Error("logger down")
      },
    ],
    ["rejects", () => Promise.reject(new Error("logger down"))],
    [
      "throws something without a stack",
      () => {
        throw Object.assign(new Error("logger down"), { stack: undefined })
      },
    ],
    [
      "throws a string",
      () => {
        throw "logger down"
      },
    ],
  ])("turns an error handler that %s into a process warning", async (_, onError) => {
    const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
    expect(() => reportEventError(onError, failure, anEvent(), 1, 3)).not.toThrow()
    await allPromisesRun()
    expect(emitWarning).toHaveBeenCalledExactlyOnceWith(
      expect.stringContaining("Event handler failed: no stock"),
      { type: "OutboxEventBusWarning", detail: expect.stringContaining("logger down") },
    )
  })
})

it.each(["message", "name"])("reports an error of a user's whose %s can't be read", (property) => {
  const error = new HandlerError(failure, anEvent())
  Object.defineProperty(error, property, {
    get() {
      throw new Error("hostile")
    },
  })
  const onError = vi.fn()
  reportError(onError, error)
  expect(onError).toHaveBeenCalledOnce()
  expect(onError.mock.calls[0]?.[0] === error).toBe(true)
})

describe("formatErrorMessage", () => {
  it.each([
    [new TypeError("not a function"), "not a function"],
    ["plain text", "plain text"],
    [undefined, "undefined"],
    [{ code: 1 }, "[object Object]"],
    [Object.create(null), "[object Object]"],
    [Symbol("s"), "Symbol(s)"],
  ])("%o", (thrown, message) => {
    expect(formatErrorMessage(thrown)).toBe(message)
  })
})
