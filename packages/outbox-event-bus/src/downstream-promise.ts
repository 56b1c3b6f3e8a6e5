// What next() returns: a promise that knows whether anybody looked at its rejection.

type Observation = { made: boolean }

/**
 * The outcome of what is inside of a middleware. Only a middleware that looked at the rejection (by `await`, `catch`, or `then`
 * with a second function, here or further down a chain of `then` and `finally`) can have meant to swallow it.
 *
 * A subclass, because `await` asks a plain promise for nothing that could be noticed. It never causes an unhandled rejection:
 * whoever creates it sees to the failure.
 */
export class DownstreamPromise<T> extends Promise<T> {
  static override get [Symbol.species]() {
    return Promise
  }

  readonly #observation: Observation

  /**
   * @param outcome - what to settle with
   * @param observation - what is known of the promise this one was derived from
   */
  constructor(outcome: PromiseLike<T>, observation: Observation = { made: false }) {
    super((resolve) => resolve(outcome))
    this.#observation = observation
    super.then(undefined, () => {})
  }

  /** Somebody looked, or will look, at the rejection. */
  get rejectionObserved(): boolean {
    return this.#observation.made
  }

  // biome-ignore lint/suspicious/noThenProperty: `await` calls it, so overriding it is how observation is noticed
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (!onRejected) return new DownstreamPromise<A | B>(super.then(onFulfilled), this.#observation)
    this.#observation.made = true
    return super.then(onFulfilled, onRejected)
  }

  /** The built-in one attaches a rejection handler, but only to pass the rejection on: that is no observation. */
  override finally(onFinally?: (() => void) | null): Promise<T> {
    return new DownstreamPromise(super.then().finally(onFinally), this.#observation)
  }
}
