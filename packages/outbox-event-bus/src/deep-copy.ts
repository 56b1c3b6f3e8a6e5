// Copies of values that share nothing with the original.

import { types } from "node:util"

/**
 * Copies plain objects, arrays, Dates, Maps and Sets, at any depth; shared parts and cycles stay shared among the copies. All
 * else (class instances and subclasses of these too, functions, buffers) is passed on by reference.
 */
export function deepCopy<T>(value: T): T {
  const copies = new Map<object, unknown>()
  /** Work on a list instead of recursion, so that no depth of nesting exhausts the stack. */
  const toFill: (() => void)[] = []

  const copyOf = (original: unknown): unknown => {
    if (typeof original !== "object" || original === null) return original
    if (copies.has(original)) return copies.get(original)
    const { copy, fill } = emptyCopy(original, copyOf)
    copies.set(original, copy)
    if (fill) toFill.push(fill)
    return copy
  }

  const copy = copyOf(value)
  // Filling one copy may add further ones to the end.
  for (const fill of toFill) fill()
  return copy as T
}

type CopyOf = (original: unknown) => unknown

/** A copy without content, and how to fill it; without the latter, it is complete. */
function emptyCopy(original: object, copyOf: CopyOf): { copy: object; fill?: () => void } {
  switch (copiedTypeOf(original)) {
    case "Object": {
      const copy = Object.getPrototypeOf(original) === null ? Object.create(null) : {}
      return { copy, fill: () => copyProperties(original, copy, copyOf) }
    }
    case "Array": {
      // Holes stay holes.
      const copy = new Array((original as unknown[]).length)
      return { copy, fill: () => copyProperties(original, copy, copyOf) }
    }
    case "Date":
      return { copy: new Date((original as Date).getTime()) }
    case "Map": {
      const copy = new Map()
      const fill = () => {
        for (const [key, value] of original as Map<unknown, unknown>) copy.set(copyOf(key), copyOf(value))
      }
      return { copy, fill }
    }
    case "Set": {
      const copy = new Set()
      const fill = () => {
        for (const member of original as Set<unknown>) copy.add(copyOf(member))
      }
      return { copy, fill }
    }
    default:
      return { copy: original }
  }
}

/** Own enumerable properties, those with symbols as keys too. Defined, not set: `__proto__` may be a key. */
function copyProperties(original: object, copy: object, copyOf: CopyOf): void {
  for (const key of Reflect.ownKeys(original)) {
    if (!Object.prototype.propertyIsEnumerable.call(original, key)) continue
    const value = copyOf((original as Record<PropertyKey, unknown>)[key])
    Object.defineProperty(copy, key, { value, configurable: true, enumerable: true, writable: true })
  }
}

type CopiedType = "Object" | "Array" | "Date" | "Map" | "Set"

/**
 * Which of the types that are copied the object is an immediate instance of. Told by the length of the prototype chain, so that it
 * works for objects of another realm, such as those that Jest's tests see, and not for instances of subclasses.
 */
function copiedTypeOf(object: object): CopiedType | undefined {
  const chain = prototypeChainOf(object)
  if (!chain) return undefined
  const [prototype] = chain
  if (!prototype) return "Object"
  if (chain.length === 1) return Object.hasOwn(prototype, "isPrototypeOf") ? "Object" : undefined
  // Fake timers replace Date by a subclass.
  if (types.isDate(object)) return chain.length === 2 || prototype === Date.prototype ? "Date" : undefined
  if (chain.length > 2) return undefined
  if (Array.isArray(object)) return "Array"
  if (types.isMap(object)) return "Map"
  if (types.isSet(object)) return "Set"
  return undefined
}

/** Undefined for a Proxy that refuses to tell. */
function prototypeChainOf(object: object): object[] | undefined {
  const chain: object[] = []
  try {
    let prototype = Object.getPrototypeOf(object)
    while (prototype !== null) {
      chain.push(prototype)
      prototype = Object.getPrototypeOf(prototype)
    }
    return chain
  } catch {
    return undefined
  }
}
