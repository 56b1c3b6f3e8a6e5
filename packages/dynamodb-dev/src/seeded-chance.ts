// Owns chance that can be repeated: the same seed draws the same numbers.

/** Draws numbers; the same seed gives the same ones in the same order. */
export interface Chance {
  /** From 0 up to but not including 1. */
  next(): number
  /** True with this probability, 0 to 1. */
  happens(probability: number): boolean
  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number
  /** One of the elements. */
  pick<T>(elements: readonly T[]): T
}

/**
 * @param seed - A text or a number. Parts of a program that must not disturb each other take seeds of their own, such as
 * `${seed}/worker-3`.
 */
export function seededChance(seed: string | number): Chance {
  let state = hash(String(seed))
  // The generator mulberry32: small, and even enough.
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (least: number, most: number) => least + Math.floor(next() * (most - least + 1))
  return {
    next,
    between,
    // One number is drawn whatever the probability, so that changing one rate leaves the others' draws in place.
    happens: (probability) => next() < probability,
    pick: <T>(elements: readonly T[]) => elements[between(0, elements.length - 1)] as T,
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193)
  return value >>> 0
}
