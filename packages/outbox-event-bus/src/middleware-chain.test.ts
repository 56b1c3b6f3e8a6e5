import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { allPromisesRun, deferred } from "./deferred.fixture.ts"
import { ConfigurationError } from "./errors.ts"
import type { Next } from "./middleware.ts"
import { runMiddleware } from "./middleware-chain.ts"

type Trace = string[]
type Step = (trace: Trace, next: Next) => Promise<void>

const pass: Step = (_, next) => next()
const failure = new Error("handler failed")
const unhandled = vi.fn()

beforeEach(() => void process.on("unhandledRejection", unhandled))
afterEach(async () => {
  await allPromisesRun()
  process.off("unhandledRejection", unhandled)
  expect(unhandled).not.toHaveBeenCalled()
  unhandled.mockClear()
})

describe("runMiddleware", () => {
  it("runs the core alone without middleware", async () => {
    const core = vi.fn(async () => {})
    await runMiddleware([], [], core)
    expect(core).toHaveBeenCalledOnce()
  })

  it("is an onion, the first one outermost, and hands the same context to all", async () => {
    const layer =
      (name: string): Step =>
      async (trace, next) => {
        trace.push(`${name} in`)
        await next()
        trace.push(`${name} out`)
      }
    const trace: Trace = []
    await runMiddleware([layer("a"), layer("b")], trace, async () => void trace.push("core"))
    expect(trace).toEqual(["a in", "b in", "core", "b out", "a out"])
  })

  it("carries a failure of the core outwards, past those who look at it", async () => {
    const seen: unknown[] = []
    const look: Step = async (_, next) => {
      try {
        await next()
      } catch (error) {
        seen.push(error)
        throw error
      }
    }
    await expect(runMiddleware([look, pass], [], () => Promise.reject(failure))).rejects.toBe(failure)
    expect(seen).toEqual([failure])
  })

  it("skips what is inside when an event is dropped, and resolves", async () => {
    const core = vi.fn(async () => {})
    const inner = vi.fn(pass)
    await runMiddleware([pass, (_, next) => next({ dropEvent: true }), inner], [], core)
    expect(inner).not.toHaveBeenCalled()
    expect(core).not.toHaveBeenCalled()
  })

  it("goes on with dropEvent: false", async () => {
    const core = vi.fn(async () => {})
    await runMiddleware<Trace>([(_, next) => next({ dropEvent: false })], [], core)
    expect(core).toHaveBeenCalledOnce()
  })

  it("carries what a middleware throws, also without being async", async () => {
    const core = vi.fn(async () => {})
    const thrower: Step = () => {
      throw failure
    }
    await expect(runMiddleware([pass, thrower], [], core)).rejects.toBe(failure)
    expect(core).not.toHaveBeenCalled()
  })
})

describe("the duty to call next() exactly once", () => {
  it("fails a middleware that does not call it, by its index", async () => {
    const core = vi.fn(async () => {})
    const chain = runMiddleware<Trace>([pass, async () => {}], [], core)
    await expect(chain).rejects.toThrow("Middleware at index 1 must call next()")
    await expect(chain).rejects.toBeInstanceOf(ConfigurationError)
    expect(core).not.toHaveBeenCalled()
  })

  it("fails one that calls it only after having returned, and runs nothing then", async () => {
    const core = vi.fn(async () => {})
    let late!: Next
    const chain = runMiddleware<Trace>(
      [
        async (_, next) => {
          late = next
        },
      ],
      [],
      core,
    )
    await expect(chain).rejects.toThrow("Middleware at index 0 must call next()")
    await expect(late()).rejects.toThrow("Middleware at index 0 must call next()")
    void late()
    expect(core).not.toHaveBeenCalled()
  })

  it.each<[string, Step]>([
    [
      "awaited",
      async (_, next) => {
        await next()
        await next()
      },
    ],
    [
      "not awaited",
      async (_, next) => {
        void next()
        void next()
      },
    ],
    [
      "swallowed",
      async (_, next) => {
        await next()
        await next().catch(() => {})
      },
    ],
    [
      "after a drop",
      async (_, next) => {
        await next({ dropEvent: true })
        await next()
      },
    ],
  ])("fails one that calls it twice (%s), and runs the core at most once", async (_, middleware) => {
    const core = vi.fn(async () => {})
    await expect(runMiddleware([pass, middleware], [], core)).rejects.toThrow("next() called multiple times")
    expect(core.mock.calls.length).toBeLessThanOrEqual(1)
  })
})

describe("a middleware that does not wait for next()", () => {
  it("is waited for: the chain ends after the core", async () => {
    const work = deferred()
    const ended = vi.fn()
    const chain = runMiddleware<Trace>([async (_, next) => void next()], [], () => work.promise).then(ended)
    await allPromisesRun()
    expect(ended).not.toHaveBeenCalled()
    work.resolve()
    await chain
    expect(ended).toHaveBeenCalledOnce()
  })

  it("can't hide a failure that comes after it has returned", async () => {
    const chain = runMiddleware<Trace>([async (_, next) => void next()], [], async () => {
      await allPromisesRun()
      throw failure
    })
    await expect(chain).rejects.toBe(failure)
  })

  it("can't hide a failure that comes while it does something else", async () => {
    const busy: Step = async (_, next) => {
      void next()
      await allPromisesRun()
    }
    await expect(runMiddleware([busy], [], () => Promise.reject(failure))).rejects.toBe(failure)
  })

  it.each<[string, (inner: Promise<void>) => unknown]>([
    ["then", (inner) => inner.then(() => {})],
    ["finally", (inner) => inner.finally(() => {})],
    ["both", (inner) => inner.finally().then()],
  ])("can't hide a failure by adding to success alone (%s)", async (_, add) => {
    const onSuccess: Step = async (_, next) => {
      void add(next())
      await allPromisesRun()
    }
    await expect(runMiddleware([onSuccess], [], () => Promise.reject(failure))).rejects.toBe(failure)
  })

  it("can't hide a failure that comes after it gave up waiting", async () => {
    const impatient: Step = (_, next) => Promise.race([next(), Promise.resolve()])
    const chain = runMiddleware([impatient], [], async () => {
      await allPromisesRun()
      throw failure
    })
    await expect(chain).rejects.toBe(failure)
  })
})

describe("a middleware that waits", () => {
  it.each([
    ["success", async () => {}],
    ["failure", () => Promise.reject(failure)],
  ])("may clean up in finally() after %s, and the outcome stays", async (_, core) => {
    const cleanUp = vi.fn()
    const outcome = core().catch(() => "failed")
    const chain = runMiddleware<Trace>([(_, next) => next().finally(cleanUp)], [], core)
    expect(await chain.catch(() => "failed")).toBe(await outcome)
    expect(cleanUp).toHaveBeenCalledOnce()
  })

  it.each<[string, Step]>([
    [
      "try and catch",
      async (_, next) => {
        try {
          await next()
        } catch {}
      },
    ],
    ["catch()", (_, next) => next().catch(() => {})],
    [
      "then(), finally() and catch()",
      (_, next) =>
        next()
          .then(() => {})
          .finally(() => {})
          .catch(() => {}),
    ],
    ["allSettled", async (_, next) => void (await Promise.allSettled([next()]))],
  ])("can't swallow a failure of the core, by %s", async (_, swallow) => {
    const core = vi.fn(async () => {
      await allPromisesRun()
      throw failure
    })
    await expect(runMiddleware([swallow, pass], [], core)).rejects.toBe(failure)
    expect(core).toHaveBeenCalledOnce()

    const thrower: Step = () => Promise.reject(failure)
    await expect(runMiddleware([swallow, thrower], [], core)).rejects.toBe(failure)
    expect(core).toHaveBeenCalledOnce()
  })

  it("may replace the failure with an error of its own", async () => {
    const wrapped = new Error("wrapped")
    const wrap: Step = (_, next) => next().catch(() => Promise.reject(wrapped))
    await expect(runMiddleware([wrap], [], () => Promise.reject(failure))).rejects.toBe(wrapped)
  })

  it("may swallow what fails after the core has succeeded, or after the event was dropped", async () => {
    const swallow: Step = (_, next) => next().catch(() => {})
    const failAfterwards: Step = async (_, next) => {
      await next()
      throw failure
    }
    await expect(runMiddleware([swallow, failAfterwards], [], async () => {})).resolves.toBeUndefined()
    const drop: Step = (_, next) => next({ dropEvent: true })
    const core = vi.fn(async () => {})
    await expect(runMiddleware([swallow, failAfterwards, drop], [], core)).resolves.toBeUndefined()
    expect(core).not.toHaveBeenCalled()
  })

  it("may limit the time by throwing while the core still runs", async () => {
    const work = deferred()
    const limit: Step = (_, next) => Promise.race([next(), Promise.reject(new Error("too slow"))])
    await expect(runMiddleware([limit], [], () => work.promise)).rejects.toThrow("too slow")
    work.reject(failure)
  })
})
