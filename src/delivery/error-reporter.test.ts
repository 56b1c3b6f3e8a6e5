import { runInNewContext } from "node:vm"
import {
  type BusEvent,
  ConfigurationError,
  HandlerError,
  MaintenanceError,
  MaxRetriesExceededError,
  OperationalError,
} from "outbox-event-bus"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { allPromisesRun } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import { ErrorReporter } from "./error-reporter.ts"

const event: BusEvent = { id: "e1", type: "t", payload: 1, occurredAt: new Date(0) }
const boom = new Error("boom")
const warnings = vi.spyOn(process, "emitWarning")

beforeEach(() => {
  warnings.mockReset().mockImplementation(() => {})
})
afterEach(() => {
  vi.clearAllMocks()
})

const create = (onError = vi.fn()) => {
  const reporter = new ErrorReporter()
  reporter.onError = onError
  return { reporter, onError }
}

describe("what is wrong with the setup", () => {
  it("is reported once, as itself, however often it makes something fail", () => {
    const { reporter, onError } = create()
    const wrong = new ConfigurationError("no index")
    reporter.report(new MaintenanceError(wrong))
    reporter.report(wrong)
    reporter.report(new MaintenanceError(wrong))
    expect(onError).toHaveBeenCalledExactlyOnceWith(wrong)
    reporter.report(new ConfigurationError("no table"))
    expect(onError).toHaveBeenCalledTimes(2)
  })

  it("is no matter of handlers, which may throw the same error again and again", () => {
    const { reporter, onError } = create()
    const thrown = new ConfigurationError("of the handler's own")
    for (let i = 0; i < 2; i++) reporter.report(new HandlerError(thrown, event))
    expect(onError).toHaveBeenCalledTimes(2)
    expect(onError).toHaveBeenCalledWith(expect.any(HandlerError))
  })
})

describe("a failed attempt is reported", () => {
  it("as a HandlerError with event and cause while attempts are left", () => {
    const { reporter, onError } = create()
    reporter.attemptFailed(boom, event, { status: "created", retryCount: 1, error: "boom", gsiSortKey: 1 })
    expect(onError).toHaveBeenCalledOnce()
    expect(onError.mock.lastCall?.[0]).toBeInstanceOf(HandlerError)
    expect(onError.mock.lastCall?.[0]).toMatchObject({ event, cause: boom, attempt: 1 })
  })

  it("as a MaxRetriesExceededError with the dead letter when it was the last one", () => {
    const { reporter, onError } = create()
    reporter.attemptFailed(boom, event, { status: "failed", retryCount: 5, error: "boom", gsiSortKey: 1 })
    expect(onError).toHaveBeenCalledOnce()
    expect(onError.mock.lastCall?.[0]).toBeInstanceOf(MaxRetriesExceededError)
    expect(onError.mock.lastCall?.[0]).toMatchObject({
      message: "Max retries exceeded (5). Event moved to DLQ.",
      event: { ...event, error: "boom", retryCount: 5 },
      retryCount: 5,
      cause: boom,
    })
  })

  it("as a HandlerError when it could not be written: nothing is moved to the dead letters then", () => {
    const { reporter, onError } = create()
    reporter.attemptFailed(boom, event, undefined)
    expect(onError.mock.lastCall?.[0]).toBeInstanceOf(HandlerError)
  })
})

describe("what can't be looked at", () => {
  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  }
  const hostile = () =>
    Object.defineProperty(new Error(), "message", {
      get: () => {
        throw new Error("not to be read")
      },
    })

  it.each([
    ["a revoked proxy", revoked],
    ["an error whose message can't be read", hostile],
  ])("is reported like any other failure of a handler: %s", (_, thrown) => {
    const { reporter, onError } = create()
    reporter.attemptFailed(thrown(), event, undefined)
    reporter.attemptFailed(thrown(), event, { status: "failed", retryCount: 5, error: "?", gsiSortKey: 1 })
    expect(onError.mock.calls).toEqual([[expect.any(HandlerError)], [expect.any(MaxRetriesExceededError)]])
  })

  it.each([
    ["a revoked proxy", revoked],
    ["an error whose message can't be read", hostile],
  ])("is a process warning where onError throws it: %s", (_, thrown) => {
    const { reporter } = create(
      vi.fn(() => {
        throw thrown()
      }),
    )
    expect(() => reporter.report(new OperationalError("x"))).not.toThrow()
    expect(warnings).toHaveBeenCalledOnce()
  })
})

it("an error before there is anyone to tell, as of a publish before the start, is no trouble", async () => {
  new ErrorReporter().report(new OperationalError("Polling cycle failed"))
  await allPromisesRun()
  expect(warnings).not.toHaveBeenCalled()
})

it("a failed request is reported with the step, the event and the cause", () => {
  const { reporter, onError } = create()
  reporter.requestFailed("settle", "e1", boom)
  expect(onError.mock.lastCall?.[0]).toBeInstanceOf(OperationalError)
  expect(onError.mock.lastCall?.[0]).toMatchObject({
    message: 'Could not settle event "e1"',
    cause: boom,
    context: { eventId: "e1" },
  })
})

describe("an onError that fails itself changes nothing but a process warning", () => {
  const report = (onError: () => unknown) => {
    create(vi.fn(onError)).reporter.attemptFailed(boom, event, undefined)
    return allPromisesRun()
  }
  const warning = () => warnings.mock.lastCall as unknown[]

  it("where it throws", async () => {
    const thrown = new Error("onError is broken")
    await report(() => {
      throw thrown
    })
    expect(warnings).toHaveBeenCalledOnce()
    expect(warning()).toEqual([`The onError handler of an outbox failed: ${thrown.stack}`, "OutboxWarning"])
  })

  it("where it is async and rejects", async () => {
    await report(async () => {
      throw new Error("onError is broken")
    })
    expect(warnings).toHaveBeenCalledOnce()
    expect(warning()[0]).toContain("onError is broken")
  })

  it("where it returns a rejected promise of another realm, as test runners have them", async () => {
    await report(() => runInNewContext("Promise.reject('from elsewhere')"))
    expect(warning()[0]).toContain("from elsewhere")
  })

  it.each([
    ["text", "text"],
    [undefined, "undefined"],
    [Object.create(null), "[Object: null prototype] {}"],
  ])("where it throws %o", async (thrown, shown) => {
    await report(() => {
      throw thrown
    })
    expect(warning()[0]).toBe(`The onError handler of an outbox failed: ${shown}`)
  })

  it("is silent where it does not fail, whatever it returns", async () => {
    await report(async () => {})
    await report(() => null)
    await report(() => "text")
    expect(warnings).not.toHaveBeenCalled()
  })
})

it("a failed request is reported on one line, whatever the id holds", () => {
  const { reporter, onError } = create()
  reporter.requestFailed("settle", "e1\nforged", boom)
  expect(onError.mock.lastCall?.[0].message).toBe(String.raw`Could not settle event "e1\nforged"`)
})

it("nothing is reported to nobody", () => {
  expect(() => new ErrorReporter().attemptFailed(boom, event, undefined)).not.toThrow()
})
