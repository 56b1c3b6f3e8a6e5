import vm from "node:vm"
import { describe, expect, it, vi } from "vitest"
import { deepCopy } from "./deep-copy.ts"

class Money {
  constructor(readonly cents: number) {}
}
class Tags extends Set<string> {}
class Rows extends Array<string> {}

/** All objects in a value, itself included. */
function objectsIn(value: unknown, found = new Set<unknown>()): Set<unknown> {
  if (typeof value !== "object" || value === null || found.has(value)) return found
  found.add(value)
  const parts = value instanceof Map || value instanceof Set ? [...value] : Object.values(value)
  for (const part of parts.flat()) objectsIn(part, found)
  return found
}

describe("deepCopy", () => {
  it("shares no plain object, array, Date, Map or Set with the original", () => {
    const original = {
      list: [1, [new Date(5)], { deep: [{}] }],
      map: new Map<unknown, unknown>([[{ key: 1 }, new Set([[new Map()]])]]),
      bare: Object.assign(Object.create(null), { a: [1] }),
    }
    const copy = deepCopy(original)
    expect(copy).toStrictEqual(original)
    const originals = objectsIn(original)
    expect([...objectsIn(copy)].filter((object) => originals.has(object))).toEqual([])
    expect(Object.getPrototypeOf(copy.bare)).toBeNull()
  })

  it.each([
    "text",
    1n,
    undefined,
    null,
    Number.NaN,
    Symbol("s"),
    () => {},
    new Money(5),
    new Tags(["a"]),
    Rows.of("a"),
    new (class extends Map {})(),
    new (class extends Date {})(),
    new Error("e"),
    new Uint8Array([1]),
    /x/,
    Promise.resolve(),
    Object.create({ inherited: 1 }),
    Object.create(Object.create(null)),
  ])("passes on by reference, at any depth: %o", (value) => {
    expect(deepCopy(value)).toBe(value)
    expect(deepCopy({ a: [value] }).a[0]).toBe(value)
    expect([...deepCopy(new Set([value]))][0]).toBe(value)
  })

  it("copies the Dates of fake timers", () => {
    vi.useFakeTimers()
    try {
      const original = new Date(5)
      const copy = deepCopy(original)
      expect(copy).not.toBe(original)
      expect(copy).toStrictEqual(original)
    } finally {
      vi.useRealTimers()
    }
  })

  it("keeps cycles and shared parts among the copies", () => {
    const shared = { n: 1 }
    const original: Record<string, unknown> = { a: shared, b: shared, map: new Map() }
    original.self = original
    ;(original.map as Map<unknown, unknown>).set(original, original)
    const copy = deepCopy(original)
    expect(copy).not.toBe(original)
    expect(copy.self).toBe(copy)
    expect(copy.a).toBe(copy.b)
    expect(copy.a).not.toBe(shared)
    expect([...(copy.map as Map<unknown, unknown>)]).toEqual([[copy, copy]])
  })

  it("keeps holes, symbols as keys and a key __proto__; getters become their values, frozen parts writable", () => {
    const tag = Symbol("tag")
    const original = {
      // biome-ignore lint/suspicious/noSparseArray: it is what is tested
      holes: [1, , 3],
      [tag]: [1],
      parsed: JSON.parse('{"__proto__":{"polluted":true}}'),
      get computed() {
        return [2]
      },
      frozen: Object.freeze({ a: 1 }),
    }
    const copy = deepCopy(original)
    expect(1 in copy.holes).toBe(false)
    expect(copy.holes).toHaveLength(3)
    expect(copy[tag]).toEqual([1])
    expect(copy[tag]).not.toBe(original[tag])
    expect(Object.keys(copy.parsed)).toEqual(["__proto__"])
    expect(copy.parsed.polluted).toBeUndefined()
    expect(Object.getOwnPropertyDescriptor(copy, "computed")?.value).toEqual([2])
    Object.assign(copy.frozen, { a: 2 })
    expect(original.frozen.a).toBe(1)
  })

  it("copies objects of another realm", () => {
    const original = vm.runInNewContext("({ list: [1], date: new Date(5), map: new Map([[1, {}]]) })")
    const copy = deepCopy(original)
    expect(copy.list).toEqual([1])
    for (const key of ["list", "date", "map"]) expect(copy[key]).not.toBe(original[key])
    expect(copy.map.get(1)).not.toBe(original.map.get(1))
  })

  it("bears any depth of nesting", () => {
    let nested: { next?: unknown } = {}
    for (let depth = 0; depth < 100_000; depth += 1) nested = { next: nested }
    const isAnother = deepCopy(nested) !== nested
    expect(isAnother).toBe(true)
  })

  it("passes on a Proxy that has been revoked", () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    expect(deepCopy([proxy])[0]).toBe(proxy)
  })
})
