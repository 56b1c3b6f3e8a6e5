import { expect, test } from "vitest"
import { seededChance } from "./seeded-chance.ts"

const draws = (seed: string | number) => {
  const chance = seededChance(seed)
  return Array.from({ length: 20 }, () => chance.between(1, 1_000_000))
}

test("the same seed draws the same numbers, another one others", () => {
  expect(draws(7)).toEqual(draws("7"))
  expect(draws(7)).not.toEqual(draws(8))
  expect(draws("7/a")).not.toEqual(draws("7/b"))
})

test("chances are even, and ranges include both ends", () => {
  const chance = seededChance(1)
  const hits = Array.from({ length: 10_000 }, () => chance.happens(0.25)).filter(Boolean).length
  expect(hits).toBeGreaterThan(2_300)
  expect(hits).toBeLessThan(2_700)
  expect(new Set(Array.from({ length: 200 }, () => chance.between(1, 3)))).toEqual(new Set([1, 2, 3]))
  expect(new Set(Array.from({ length: 200 }, () => chance.pick(["a", "b"])))).toEqual(new Set(["a", "b"]))
  expect(chance.happens(0)).toBe(false)
  expect(chance.happens(1)).toBe(true)
})
