/**
 * DynamoDB's expressions on plain items: conditions (of writes and of keys) and updates, as far as the outbox writes them.
 * What it doesn't know it refuses, so that a test can't pass on a condition that was never evaluated.
 */
import type { Item } from "../item/event-item.ts"

/** What `#name` and `:value` in an expression stand for. */
export interface Placeholders {
  names?: Record<string, string> | undefined
  values?: Record<string, unknown> | undefined
}

/** Whether a condition holds for an item; `undefined` is an item that doesn't exist, no condition always holds. */
export function holds(
  condition: string | undefined,
  item: Item | undefined,
  placeholders: Placeholders,
): boolean {
  if (condition === undefined) return true
  const reader = new Reader(condition, item ?? {}, placeholders)
  return reader.end(reader.or())
}

/** The item as an update expression of `SET`, `REMOVE` and `ADD` (of numbers) leaves it; every operand is read before anything is changed. */
export function updated(expression: string, item: Item, placeholders: Placeholders): Item {
  const reader = new Reader(expression, item, placeholders)
  return reader.end(reader.update())
}

/** The attributes of a projection expression; without one, all. */
export function projected(projection: string | undefined, item: Item, { names = {} }: Placeholders): Item {
  if (projection === undefined) return item
  const wanted = projection.split(",").map((name) => names[name.trim()] ?? name.trim())
  return Object.fromEntries(Object.entries(item).filter(([name]) => wanted.includes(name)))
}

const TOKEN = /\s*(<>|<=|>=|[=<>(),+-]|[#:]?\w+)/y

const COMPARISONS: Record<string, (a: Comparable, b: Comparable) => boolean> = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
}

type Comparable = string | number | bigint

/** Reads an expression from left to right, evaluating it on the way. */
class Reader {
  private readonly tokens: string[] = []
  private at = 0

  constructor(
    private readonly text: string,
    private readonly item: Item,
    private readonly placeholders: Placeholders,
  ) {
    TOKEN.lastIndex = 0
    const trimmed = text.trimEnd()
    while (TOKEN.lastIndex < trimmed.length) {
      const [, token] = TOKEN.exec(trimmed) ?? this.refuse("what follows")
      this.tokens.push(token as string)
    }
  }

  /** @throws where something is left that nobody has read. */
  end<T>(value: T): T {
    if (this.at < this.tokens.length) this.refuse(this.tokens[this.at])
    return value
  }

  or(): boolean {
    let result = this.and()
    while (this.takes("OR")) result = this.and() || result
    return result
  }

  private and(): boolean {
    let result = this.not()
    while (this.takes("AND")) result = this.not() && result
    return result
  }

  private not(): boolean {
    if (this.takes("NOT")) return !this.not()
    if (this.takes("(")) {
      const result = this.or()
      this.expect(")")
      return result
    }
    return this.comparison()
  }

  private comparison(): boolean {
    if (this.takes("attribute_exists")) return this.argument() !== undefined
    if (this.takes("attribute_not_exists")) return this.argument() === undefined
    if (this.takes("begins_with")) {
      const [text, prefix] = this.list()
      return typeof text === "string" && text.startsWith(prefix as string)
    }
    const left = this.operand()
    if (this.takes("=")) return areEqual(left, this.operand())
    if (this.takes("<>")) return !areEqual(left, this.operand())
    if (this.takes("IN")) return this.list().some((value) => areEqual(left, value))
    if (this.takes("BETWEEN")) {
      const least = this.operand()
      this.expect("AND")
      const most = this.operand()
      return areOrdered(">=", left, least) && areOrdered("<=", left, most)
    }
    const comparison = this.next()
    if (!(comparison in COMPARISONS)) this.refuse(comparison)
    return areOrdered(comparison, left, this.operand())
  }

  update(): Item {
    const result = { ...this.item }
    while (this.at < this.tokens.length) {
      if (this.takes("SET")) {
        do {
          const name = this.name(this.next())
          this.expect("=")
          result[name] = this.sum()
        } while (this.takes(","))
      } else if (this.takes("REMOVE")) {
        do delete result[this.name(this.next())]
        while (this.takes(","))
      } else if (this.takes("ADD")) {
        do {
          const name = this.name(this.next())
          result[name] = Number(this.item[name] ?? 0) + Number(this.operand())
        } while (this.takes(","))
      } else this.refuse(this.next())
    }
    return result
  }

  private sum(): unknown {
    let result = this.operand()
    for (;;) {
      if (this.takes("+")) result = Number(result) + Number(this.operand())
      else if (this.takes("-")) result = Number(result) - Number(this.operand())
      else return result
    }
  }

  private operand(): unknown {
    if (this.takes("if_not_exists")) {
      const [value, fallback] = this.list()
      return value ?? fallback
    }
    const token = this.next()
    if (!token.startsWith(":")) return this.item[this.name(token)]
    const { values = {} } = this.placeholders
    return token in values ? values[token] : this.refuse(token)
  }

  private argument(): unknown {
    return this.list()[0]
  }

  private list(): unknown[] {
    this.expect("(")
    const values = [this.operand()]
    while (this.takes(",")) values.push(this.operand())
    this.expect(")")
    return values
  }

  private name(token: string): string {
    if (!token.startsWith("#")) return /^\w+$/.test(token) ? token : this.refuse(token)
    return this.placeholders.names?.[token] ?? this.refuse(token)
  }

  private next(): string {
    return this.tokens[this.at++] ?? this.refuse("its end")
  }

  private takes(token: string): boolean {
    if (this.tokens[this.at]?.toUpperCase() !== token.toUpperCase()) return false
    this.at++
    return true
  }

  private expect(token: string): void {
    if (!this.takes(token)) this.refuse(this.tokens[this.at] ?? "its end")
  }

  private refuse(what: string | undefined): never {
    throw new Error(`The test outbox can't evaluate "${this.text}": it doesn't know ${what}.`)
  }
}

/** Only values of one type are ordered; a missing attribute is neither above nor below anything. */
function areOrdered(comparison: string, left: unknown, right: unknown): boolean {
  return (
    kind(left) === kind(right) &&
    (COMPARISONS[comparison]?.(left as Comparable, right as Comparable) ?? false)
  )
}

/** The outbox compares keys, counts and times alone: scalars. */
function areEqual(left: unknown, right: unknown): boolean {
  return kind(left) === kind(right) && left === right
}

function kind(value: unknown): string {
  return typeof value === "bigint" ? "number" : typeof value
}
