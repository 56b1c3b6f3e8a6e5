/** What the commands write to and ask, so that tests can put something else in its place. */
import confirm from "@inquirer/confirm"
import Table from "cli-table3"

export interface Terminal {
  /** For results: what a script reads. */
  print(text: string): void
  /** For everything else. */
  note(text: string): void
  /** Overwrites the line that was shown before; `undefined` ends it. */
  progress(text: string | undefined): void
  /** Clears the screen, where there is one. */
  clear(): void
  readonly isInteractive: boolean
  confirm(question: string): Promise<boolean>
  /** Fires when the user wants to stop: Ctrl-C. */
  readonly signal: AbortSignal
}

export function processTerminal(): Terminal {
  const controller = new AbortController()
  // The first one ends the work between two events, the second one the process.
  process.once("SIGINT", () => controller.abort())
  // As of `| head`: whoever reads has seen enough.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error
    process.exit()
  })
  const isInteractive = process.stdin.isTTY === true && process.stdout.isTTY === true
  return {
    print: (text) => void process.stdout.write(`${text}\n`),
    note: (text) => void process.stderr.write(`${text}\n`),
    progress: (text) => {
      if (process.stderr.isTTY) process.stderr.write(text === undefined ? "\n" : `\r\u001B[K${text}`)
    },
    clear: () => {
      if (process.stdout.isTTY) process.stdout.write("\u001B[2J\u001B[H")
    },
    isInteractive,
    confirm: (message) => confirm({ message, default: false }),
    signal: controller.signal,
  }
}

/** A table of text. What is in a cell may come from anywhere, so it stays on its line. */
export function table(head: readonly string[], rows: ReadonlyArray<ReadonlyArray<string | number>>): string {
  const made = new Table({ head: [...head], style: { head: [], border: [], compact: true } })
  for (const row of rows) made.push(row.map((cell) => oneLine(String(cell))))
  return made.toString()
}

const LONGEST_CELL = 80

/** Without control characters, which could forge lines or colours of a terminal. */
export function oneLine(text: string, longest = LONGEST_CELL): string {
  const visible = text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => (character === "\n" ? " " : "·"))
  return visible.length > longest ? `${visible.slice(0, longest - 1)}…` : visible
}

export function duration(ms: number | undefined): string {
  if (ms === undefined) return "-"
  const seconds = Math.floor(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const hours = Math.floor(seconds / 3600)
  return hours < 48 ? `${hours} h ${Math.floor((seconds % 3600) / 60)} min` : `${Math.floor(hours / 24)} days`
}

/** Tells how far long work is, with rate and, where the total is known, the time that is left. */
export function progressLine(
  verb: string,
  { done, skipped }: { done: number; skipped: number },
  startedAt: number,
  total?: number,
): string {
  const seconds = Math.max((performance.now() - startedAt) / 1000, 0.001)
  const rate = (done + skipped) / seconds
  const left = total === undefined ? "" : `, ${duration(((total - done - skipped) / rate) * 1000)} left`
  const of = total === undefined ? "" : ` of ${total}`
  return `${verb} ${done}${of}, skipped ${skipped}, ${rate.toFixed(0)}/s${left}`
}
