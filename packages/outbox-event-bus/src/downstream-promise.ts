// What next() returns: a promise that never causes an unhandled rejection.

/**
 * The outcome of what is inside of a middleware. The chain sees to its failure, so a middleware may ignore it: neither this
 * promise nor one derived from it by `then`, `catch` or `finally` ends the process when nobody handles its rejection.
 */
export class DownstreamPromise<T> extends Promise<T> {
  /** Derived promises are wrapped by `then`, so the built-in methods need not do that as well. */
  static override get [Symbol.species]() {
    return Promise
  }

  constructor(executor: ConstructorParameters<typeof Promise<T>>[0]) {
    super(executor)
    super.then(undefined, () => {})
  }

  static of<T>(outcome: PromiseLike<T>): DownstreamPromise<T> {
    return new DownstreamPromise((resolve) => resolve(outcome))
  }

  // biome-ignore lint/suspicious/noThenProperty: `catch`, `finally` and `await` go through it
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return DownstreamPromise.of(super.then(onFulfilled, onRejected))
  }
}
