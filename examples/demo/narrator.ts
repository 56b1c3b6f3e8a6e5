// Owns the output of the demo: headings, lines in columns, and color on a terminal.
import { stdout } from "node:process"
import pc from "picocolors"

// picocolors also colors output in CI, where logs are plain files; FORCE_COLOR asks for it.
const { bold, cyan, dim, green, magenta, red, yellow } = pc.createColors(
  pc.isColorSupported && (stdout.isTTY === true || "FORCE_COLOR" in process.env),
)

const ACTOR_COLUMN = 9
const ORDER_COLUMN = 8

const COLOURS: Record<string, (text: string) => string> = {
  shop: cyan,
  "relay 1": magenta,
  "relay 2": yellow,
  operator: cyan,
}

export type Mood = "plain" | "good" | "bad"
const MOODS = { plain: (text: string) => text, good: green, bad: red } as const

export class Narrator {
  readonly #startedAt = performance.now()
  #print: (line: string) => void = console.log

  get seconds(): string {
    return ((performance.now() - this.#startedAt) / 1000).toFixed(1)
  }

  title(text: string, explanation: string): void {
    this.#print(`\n${bold(text)}\n${dim(explanation)}`)
  }

  /** A new scene. */
  scene(number: number, text: string): void {
    this.#print(`\n${bold(`${number}. ${text}`)}`)
  }

  /** One action of one actor. */
  line(actor: string, orderId: string, text: string, mood: Mood = "plain"): void {
    const time = dim(`${this.seconds.padStart(5)}s`)
    const colour = COLOURS[actor] ?? dim
    this.#print(
      `${time}  ${colour(actor.padEnd(ACTOR_COLUMN))} ${orderId.padEnd(ORDER_COLUMN)} ${MOODS[mood](text)}`,
    )
  }

  /** A table: the first column is text, the last a remark, the ones in between are numbers. */
  table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
    const last = head.length - 1
    const widths = head.map((cell, column) =>
      Math.max(cell.length, ...rows.map((row) => String(row[column]).length)),
    )
    const format = (row: readonly (string | number)[]) =>
      row
        .map((cell, column) => {
          if (column === last) return String(cell)
          const width = widths[column] as number
          return column === 0 ? String(cell).padEnd(width) : String(cell).padStart(width)
        })
        .join("   ")
        .trimEnd()
    this.#print(`  ${dim(format(head))}`)
    for (const row of rows) this.#print(`  ${format(row)}`)
  }

  verdict(text: string, mood: Exclude<Mood, "plain">): void {
    this.#print(`\n${bold(MOODS[mood](`${mood === "good" ? "✓" : "✗"} ${text}`))}`)
  }

  problem(text: string): void {
    this.#print(`  ${red(text)}`)
  }

  /** The last line when the demo was aborted; what still runs prints nothing more. */
  brokenOff(reason: string): void {
    this.verdict(reason, "bad")
    this.#print = () => {}
  }

  blank(): void {
    this.#print("")
  }
}
