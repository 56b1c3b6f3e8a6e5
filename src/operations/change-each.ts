/** Long work on many events: bounded, paced, with progress, and ended between two events. */
import { OperationalError, ValidationError } from "outbox-event-bus"
import { described } from "../process/shown.ts"

/** How long work is done. */
export interface WorkOptions {
  /**
   * Most events a second.
   * @default Infinity
   */
  perSecond?: number | undefined
  /** Ends the work between two events; what is done stays done. */
  signal?: AbortSignal | undefined
  /** Told after each event. */
  onProgress?: ((progress: Progress) => void) | undefined
}

/** How far it is. */
export interface Progress {
  /** Events that were changed. */
  done: number
  /** Events that were not as they had to be, because somebody else has changed or deleted them meanwhile. */
  skipped: number
}

const AT_ONCE = 10

/**
 * @param change - Resolves with false where the event is not as it has to be.
 * @throws {OperationalError} for the first request that fails; `context.progress` says what was done before.
 */
export async function changeEach(
  ids: AsyncIterable<string>,
  { perSecond = Number.POSITIVE_INFINITY, signal, onProgress }: WorkOptions,
  change: (id: string) => Promise<boolean>,
): Promise<Progress> {
  if (typeof perSecond !== "number" || !(perSecond > 0)) {
    throw new ValidationError(`Invalid perSecond: ${described(perSecond)}. Allowed: a number above 0.`)
  }
  const progress: Progress = { done: 0, skipped: 0 }
  const iterator = ids[Symbol.asyncIterator]()
  const turn = pacemaker(perSecond)
  let failure: { error: unknown } | undefined
  const work = async () => {
    while (!failure && !signal?.aborted) {
      await turn()
      if (failure || signal?.aborted) return
      const { done, value: id } = await iterator.next()
      if (done) return
      if (await change(id)) progress.done++
      else progress.skipped++
      onProgress?.({ ...progress })
    }
  }
  const guarded = () =>
    work().catch((error) => {
      failure ??= { error }
    })
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, Math.ceil(perSecond)) }, guarded))
  await iterator.return?.()
  if (failure) {
    throw new OperationalError(`Interrupted after ${progress.done} events`, {
      cause: failure.error,
      progress,
    })
  }
  return progress
}

/** Resolves when the next event may have its turn. */
function pacemaker(perSecond: number): () => Promise<void> {
  let next = performance.now()
  return async () => {
    if (perSecond === Number.POSITIVE_INFINITY) return
    const now = performance.now()
    const at = Math.max(now, next)
    next = at + 1000 / perSecond
    if (at > now) await new Promise((resolve) => setTimeout(resolve, at - now))
  }
}
