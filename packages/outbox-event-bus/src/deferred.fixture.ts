// A promise that a test settles itself (Promise.withResolvers, which Node 20 lacks), and a way to let promises run.

export type Deferred<T = void> = {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (error: unknown) => void
}

export function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((fulfil, refuse) => {
    resolve = fulfil
    reject = refuse
  })
  return { promise, resolve, reject }
}

/** Resolves when every promise callback that could run has run: the next turn of the event loop, never a timer. */
export function allPromisesRun(): Promise<void> {
  return new Promise((resolve) => {
    realSetImmediate(resolve)
  })
}

// Taken before any test installs fake timers.
const realSetImmediate = setImmediate
