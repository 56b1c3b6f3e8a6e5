// Runs middleware as an onion around a core, and holds each of them to its duty: call next() exactly once, or throw.

import { DownstreamPromise } from "./downstream-promise.ts"
import { ConfigurationError } from "./errors.ts"
import type { Next } from "./middleware.ts"

const CALLED_TWICE = "next() called multiple times"

/**
 * Runs `middlewares`, the first one outermost, around `core`. Resolves when all of it has ended.
 *
 * A middleware that does not wait for `next()` is waited for: the chain ends no earlier than what is inside of it. It can
 * swallow a failure from inside only if it has seen it: it awaited (or caught) `next()` and the failure came before it
 * returned. A middleware that throws ends the chain at once, so that one which limits the time can do so.
 *
 * @param middlewares - the functions to run; the list must not change while they do
 * @param context - what each of them receives
 * @param core - runs when the innermost of them calls `next()`; not at all when one drops the event
 */
export async function runMiddleware<C>(
  middlewares: readonly ((context: C, next: Next) => Promise<void>)[],
  context: C,
  core: () => Promise<void>,
): Promise<void> {
  const runFrom = async (index: number): Promise<void> => {
    const middleware = middlewares[index]
    if (!middleware) return core()

    const notCalled = () => new ConfigurationError(`Middleware at index ${index} must call next()`, { index })
    const fail = (error: Error) => new DownstreamPromise<void>(Promise.reject(error))
    let inner: Promise<void> | undefined
    let promise: DownstreamPromise<void> | undefined
    let innerEnded = false
    let calledTwice: Error | undefined
    let returned = false

    const next: Next = (options) => {
      if (inner) {
        calledTwice ??= new ConfigurationError(CALLED_TWICE, { index })
        return fail(calledTwice)
      }
      if (returned) return fail(notCalled())
      const outcome = options?.dropEvent ? Promise.resolve() : runFrom(index + 1)
      const markEnded = () => {
        innerEnded = true
      }
      outcome.then(markEnded, markEnded)
      inner = outcome
      promise = new DownstreamPromise(outcome)
      return promise
    }

    await middleware(context, next)
    returned = true
    if (!inner) throw notCalled()
    const seen = innerEnded && promise?.rejectionObserved
    await inner.catch((error) => {
      if (!seen) throw error
    })
    if (calledTwice) throw calledTwice
  }
  await runFrom(0)
}
