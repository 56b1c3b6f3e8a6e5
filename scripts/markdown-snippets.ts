// Copies code from checked files into Markdown: the docs quote examples that are type-checked and run. `npm run docs:snippets`
// writes README.md, docs/*.md and packages/*/README.md; `npm run docs:check` reports where they differ from their sources.
//
// In Markdown, the marker is on a line of its own above the code fence that it fills; the fence may be missing at first:
//
//   <!-- snippet: examples/quick-start.ts#quick-start -->
//
// In the example, `// #region quick-start` and `// #endregion` enclose what is quoted (`#` starts the comment in YAML and
// shell). Without `#region-name`, the marker quotes the whole file.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import { pathToFileURL } from "node:url"

const MARKER = /^[ \t]*<!-- snippet: (?<path>[^\s#]+)(?:#(?<region>[\w-]+))? -->[ \t]*$/
const LOOKS_LIKE_MARKER = /<!--\s*snippet\b/i
const FENCE = /^[ \t]*(?<ticks>`{3,})(?<language>[\w-]*)[ \t]*$/
const REGION = /^\s*(?:\/\/|#) #region (?<name>[\w-]+)\s*$/
const END_REGION = /^\s*(?:\/\/|#) #endregion\b.*$/
const FOR_TOOLS_ONLY = /^\s*\/\/ biome-ignore\b/

const LANGUAGES: Record<string, string> = { yml: "yaml", mjs: "js", mts: "ts" }

/** Why code can't be quoted; the message names the place. */
class SnippetError extends Error {
  override readonly name = "SnippetError"
}

/**
 * Fills every marked code fence from its file.
 *
 * @param readSource - reads a file by the path in the marker
 * @returns the new Markdown
 */
export function fillSnippets(markdown: string, readSource: (path: string) => string): string {
  const lines = markdown.split("\n")
  const filled: string[] = []
  // The fence around the current line, if any: a marker inside a code block is text.
  let openFence: string | undefined
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] as string
    filled.push(line)
    const fence = FENCE.exec(line)?.groups?.ticks ?? (line.startsWith("```") ? "```" : undefined)
    if (fence !== undefined && (openFence === undefined || line.trim() === openFence)) {
      openFence = openFence === undefined ? fence : undefined
      continue
    }
    if (openFence !== undefined || !LOOKS_LIKE_MARKER.test(line)) continue
    const { path, region } = MARKER.exec(line)?.groups ?? {}
    if (path === undefined) {
      throw new SnippetError(`line ${at + 1}: expected <!-- snippet: path#region -->, got ${line.trim()}`)
    }
    const code = extract(readSource(path), path, region)
    const longestTicks = Math.max(2, ...[...code.matchAll(/`{3,}/g)].map(([ticks]) => ticks.length))
    const ticks = "`".repeat(longestTicks + 1)
    filled.push(`${ticks}${languageOf(path)}`, code, ticks)
    at = endOfFence(lines, at + 1)
  }
  return filled.join("\n")
}

/** Returns the last line of the code fence that begins at `start`, or the line before `start` if none does. */
function endOfFence(lines: readonly string[], start: number): number {
  const ticks = FENCE.exec(lines[start] ?? "")?.groups?.ticks
  if (ticks === undefined) return start - 1
  const end = lines.findIndex((line, at) => at > start && line.trim() === ticks)
  if (end === -1) throw new SnippetError(`line ${start + 1}: the code fence has no end`)
  return end
}

/** Returns a region of a source, or all of it, without the lines that only tools read, dedented. */
export function extract(source: string, path: string, region: string | undefined): string {
  const quoted: string[] = []
  const seen: string[] = []
  const open: string[] = []
  for (const line of source.split("\n")) {
    const begins = REGION.exec(line)?.groups?.name
    if (begins !== undefined) {
      if (seen.includes(begins)) throw new SnippetError(`${path}: region ${begins} occurs twice`)
      seen.push(begins)
      open.push(begins)
    } else if (END_REGION.test(line)) {
      if (open.pop() === undefined) throw new SnippetError(`${path}: an #endregion without its #region`)
    } else if ((region === undefined || open.includes(region)) && !FOR_TOOLS_ONLY.test(line)) {
      quoted.push(line)
    }
  }
  if (open.length > 0) throw new SnippetError(`${path}: region ${open.join(", ")} has no #endregion`)
  if (region !== undefined && !seen.includes(region)) {
    throw new SnippetError(`${path}: no region ${region}; it has ${seen.join(", ") || "none"}`)
  }
  const code = dedent(quoted)
    .join("\n")
    .replace(/^\n+|\s+$/g, "")
  if (code === "") throw new SnippetError(`${path}: region ${region ?? "(whole file)"} is empty`)
  return code
}

function dedent(lines: readonly string[]): string[] {
  const indents = lines.filter((line) => line.trim() !== "").map((line) => line.search(/\S/))
  const margin = indents.length === 0 ? 0 : Math.min(...indents)
  return lines.map((line) => line.slice(margin))
}

/** `ts` for `quick-start.ts`, and also for `cdk.ts.txt`, whose suffix hides it from the type checker. */
function languageOf(path: string): string {
  const extension = basename(path)
    .replace(/\.txt$/, "")
    .split(".")
    .at(-1) as string
  return LANGUAGES[extension] ?? extension
}

function firstDifference(before: string, after: string): number {
  const [a, b] = [before.split("\n"), after.split("\n")]
  return a.findIndex((line, at) => line !== b[at]) + 1 || a.length
}

/** README.md, every page of docs/ and every package's README. */
export function markdownFiles(root = "."): string[] {
  const pages = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"))
  const packages = readdirSync(join(root, "packages")).map((name) => `packages/${name}/README.md`)
  return [
    "README.md",
    ...pages.map((name) => `docs/${name}`),
    ...packages.filter((path) => existsSync(join(root, path))),
  ]
}

/** @returns the exit code */
function main(args: readonly string[]): number {
  const isCheck = args.includes("--check")
  const files = args.filter((argument) => !argument.startsWith("--"))
  const readSource = (path: string) => {
    if (!existsSync(path))
      throw new SnippetError(`${path}: no such file; paths start at the repository's root`)
    return readFileSync(path, "utf8")
  }
  let exitCode = 0
  for (const file of files.length > 0 ? files : markdownFiles()) {
    try {
      const before = readSource(file)
      const after = fillSnippets(before, readSource)
      const count = after.split("\n").filter((line) => MARKER.test(line)).length
      if (before === after) {
        if (count > 0) console.log(`${file}: ${count} snippets, all up to date`)
      } else if (isCheck) {
        console.error(
          `${file}: line ${firstDifference(before, after)} differs from its source. Run: npm run docs:snippets`,
        )
        exitCode = 1
      } else {
        writeFileSync(file, after)
        console.log(`${file}: written, ${count} snippets`)
      }
    } catch (error) {
      if (!(error instanceof SnippetError)) throw error
      console.error(`${file}: ${error.message}`)
      exitCode = 1
    }
  }
  return exitCode
}

if (import.meta.url === pathToFileURL(resolve(process.argv[1] ?? "")).href) {
  process.exitCode = main(process.argv.slice(2))
}
