// Runs middleware as an onion around a core, and holds each of them to its duty: call next() exactly once, or throw.

import { DownstreamPromise } from "./downstream-promise.ts"
import { ConfigurationError } from "./errors.ts"
import type { Next } from "./middleware.ts"

/**
 * Runs `middlewares`, the first one outermost, around `core`. Resolves when all of it has ended.
 *
 * - If the chain rejects, its error counts.
 * - If it resolves although the core failed, or was never reached because a middleware failed, that failure counts: a
 *   middleware that logs and swallows must not make an event count as handled. Only `next({ dropEvent: true })` does that.
 * - A middleware that does not await `next()` is waited for: the chain ends no earlier than what is inside of it. A middleware
 *   that throws ends the chain at once, so that one can limit the time.
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
  /** The core has succeeded, or the event was dropped. */
  let isDone = false
  /** The first failure, which is the innermost. */
  let failure: { error: unknown } | undefined

  const runFrom = async (index: number): Promise<void> => {
    try {
      const middleware = middlewares[index]
      if (middleware) {
        await runOne(middleware, index)
      } else {
        await core()
        isDone = true
      }
    } catch (error) {
      failure ??= { error }
      throw error
    }
  }

  const runOne = async (middleware: (context: C, next: Next) => Promise<void>, index: number) => {
    const notCalled = () => new ConfigurationError(`Middleware at index ${index} must call next()`, { index })
    let inner: Promise<void> | undefined
    let hasInnerEnded = false
    let hasReturned = false
    let calledTwice: Error | undefined

    const next: Next = (options) => {
      if (inner) {
        calledTwice ??= new ConfigurationError("next() called multiple times", { index })
        return DownstreamPromise.of(Promise.reject(calledTwice))
      }
      if (hasReturned) return DownstreamPromise.of(Promise.reject(notCalled()))
      if (options?.dropEvent) isDone = true
      inner = options?.dropEvent ? Promise.resolve() : runFrom(index + 1)
      const markEnded = () => {
        hasInnerEnded = true
      }
      inner.then(markEnded, markEnded)
      return DownstreamPromise.of(inner)
    }

    await middleware(context, next)
    hasReturned = true
    if (!inner) throw notCalled()
    // A failure that came before the middleware returned may have been handled by it; a later one can't have been.
    if (!hasInnerEnded) await inner
    if (calledTwice) throw calledTwice
  }

  await runFrom(0)
  if (failure && !isDone) throw failure.error
}
