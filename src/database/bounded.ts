/** Runs a function for each of many items, a bounded number at a time. */

/**
 * Calls `run` for every item, at most `limit` at once, also when some reject.
 * @returns what went wrong, in no particular order.
 */
export async function forEachBounded<T>(
  items: readonly T[],
  limit: number,
  run: (item: T) => Promise<void>,
): Promise<unknown[]> {
  const errors: unknown[] = []
  const remaining = items.values()
  const work = async () => {
    // All workers share one iterator: each takes the next item that is left.
    for (const item of remaining) await run(item).catch((error) => errors.push(error))
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work))
  return errors
}
