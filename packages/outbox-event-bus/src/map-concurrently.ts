// Maps a list with an async function, a few items at a time.

/**
 * Maps each item, at most `concurrency` at once, and returns the results in the order of the items.
 *
 * After a failure no further item is begun; those under way are waited for, so that nothing runs on behind the caller's
 * back, and then the first failure is thrown.
 */
export async function mapConcurrently<T, R>(
  items: readonly T[],
  concurrency: number,
  map: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  const failures: unknown[] = []
  const remaining = items.entries()
  const work = async () => {
    // The workers share one iterator: each takes the next item that nobody has taken.
    for (const [index, item] of remaining) {
      try {
        results[index] = await map(item)
      } catch (error) {
        failures.push(error)
      }
      if (failures.length > 0) return
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, work))
  if (failures.length > 0) throw failures[0]
  return results
}
