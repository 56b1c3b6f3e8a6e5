// Owns chance that can be repeated: a seeded generator, and the orders drawn from it.

/** Draws numbers from 0 up to but not including 1. */
export type Draw = () => number

/** The generator mulberry32: small, and even enough for shuffling. */
export function seeded(seed: number): Draw {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The same elements in an order drawn anew (Fisher-Yates). */
export function shuffled<T>(elements: readonly T[], draw: Draw): T[] {
  const result = [...elements]
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(draw() * (i + 1))
    ;[result[i], result[j]] = [result[j] as T, result[i] as T]
  }
  return result
}

/**
 * Runs every variant once in each round, in an order drawn anew for each, so that what disturbs the machine for a while
 * doesn't always hit the same one.
 */
export async function interleaved<V>(
  rounds: number,
  variants: readonly V[],
  draw: Draw,
  run: (variant: V, round: number) => Promise<void>,
): Promise<void> {
  for (let round = 1; round <= rounds; round++) {
    for (const variant of shuffled(variants, draw)) await run(variant, round)
  }
}
