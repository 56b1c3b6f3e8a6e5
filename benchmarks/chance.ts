// Owns orders drawn by repeatable chance.
import { seededChance } from "@outbox-event-bus/dynamodb-dev"

/** Draws numbers from 0 up to but not including 1. */
export type Draw = () => number

/** The same seed draws the same numbers. */
export function seeded(seed: number): Draw {
  return seededChance(seed).next
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
