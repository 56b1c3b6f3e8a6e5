// Fills the tables of docs/choosing.md from the price list beside it and from what the benchmark has measured; the prose is
// handwritten. `npm run docs:choosing` writes the page; `npm run docs:check` reports whether it is up to date.
import { readFileSync, writeFileSync } from "node:fs"
import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { writeUnits } from "../benchmarks/measures/units.ts"
import type { Results } from "../benchmarks/report/results.ts"
import { Costs, type Measured, type PriceList, VARIANTS, type Variant } from "./choosing-costs.ts"

const PAGE = "docs/choosing.md"
const PRICES = "docs/choosing/prices.json"
/** DynamoDB Local reports other units for transactions than DynamoDB's documentation. */
const ENGINE = "dynoxide"
const RATES = [1, 100, 10_000]
const AT_LEAST_CENTS = { minimumFractionDigits: 2, maximumFractionDigits: 5 }
const NAMES: Record<Variant, string> = { poller: "poller", drain: "drain", stream: "stream + sweeper" }

interface StreamRow {
  engine: string
  /** Those that deliver. */
  requestsPerEvent: number
  /** Publication included. */
  writeUnitsPerEvent: number
  readUnitsPerEvent: number
  p50Ms: number
  p99Ms: number
}

interface Measurements extends Pick<Results, "units" | "idle" | "latency" | "remote-latency"> {
  stream: { rows: StreamRow[] }
}

/**
 * Replaces what stands between the markers of the blocks.
 *
 * @param blocks - The new content by the name of the block.
 * @returns the new page.
 */
export function fillBlocks(page: string, blocks: Record<string, string>): string {
  let filled = page
  for (const [name, content] of Object.entries(blocks)) {
    const begin = `<!-- ${name}: written by npm run docs:choosing -->`
    const from = filled.indexOf(begin)
    const to = filled.indexOf(`<!-- end of ${name} -->`)
    if (from < 0 || to < from) throw new Error(`${PAGE} has no block "${begin}" … "<!-- end of ${name} -->".`)
    filled = `${filled.slice(0, from + begin.length)}\n\n${content}\n\n${filled.slice(to)}`
  }
  return filled
}

function blocksFrom(list: PriceList, results: Measurements): Record<string, string> {
  const stream = rowOf(results.stream.rows)
  const costs = new Costs(list, measuredIn(results))
  return {
    latency: latencyTable(list, results, stream),
    "per-event": perEventTable(costs),
    costs: costsTable(costs),
    endless: table(
      ["a drain", "from so many events a second and table on"],
      [
        ["runs until its deadline, since it always finds something new", whole(costs.endlessFrom)],
        ["is not enough: several have to run at once", `above ${whole(costs.drainKeepsUpWith)}`],
      ],
    ),
    prices: pricesTable(list),
    assumptions: table(
      ["assumption", "value", "reason"],
      Object.values(list.assumptions).map(({ name, value, unit, reason }) => [
        name,
        `${value} ${unit}`,
        reason,
      ]),
    ),
  }
}

function measuredIn({ units, idle, stream }: Measurements): Measured {
  const row = rowOf(
    units.rows.filter(({ projection, size }) => projection === "KEYS_ONLY" && size === "300 B"),
  )
  const { requestsPerEvent, writeUnitsPerEvent, readUnitsPerEvent } = rowOf(stream.rows)
  return {
    relay: {
      requests: row.deliver.requests,
      writeUnits: writeUnits(row),
      readUnits: row.deliver.tableRead + row.deliver.indexRead,
    },
    stream: {
      requests: requestsPerEvent,
      writeUnits: writeUnitsPerEvent,
      readUnits: readUnitsPerEvent,
    },
    idle: rowOf(idle.rows.filter(({ algorithm }) => algorithm === "relay")),
  }
}

function rowOf<Row extends { engine: string }>(rows: Row[]): Row {
  const row = rows.find(({ engine }) => engine === ENGINE)
  if (!row) throw new Error(`A result file of the benchmark has no row of ${ENGINE}.`)
  return row
}

function latencyTable({ assumptions }: PriceList, results: Measurements, stream: StreamRow): string {
  const here = rowOf(results.latency.rows)
  const elsewhere = rowOf(results["remote-latency"].rows.filter(({ algorithm }) => algorithm === "relay"))
  const interval = assumptions.intervalSeconds.value * 1000
  const reads = 1000 / assumptions.shardReadsPerSecond.value
  const isMeasured = stream.p50Ms > 0
  return table(
    ["", "p50", "p99", ""],
    [
      ["poller in the publisher's process", time(here.p50), time(here.p99), "measured"],
      ["poller in another process", time(elsewhere.p50), time(elsewhere.p99), "measured"],
      ["drain", time(interval / 2), time(interval * 0.99), "calculated: the wait for the next minute"],
      [
        "stream: until Lambda reads the record",
        time(reads / 2),
        time(reads * 0.99),
        "calculated: the wait for the next read of the shard",
      ],
      [
        "stream: the rest",
        isMeasured ? time(stream.p50Ms) : "–",
        isMeasured ? time(stream.p99Ms) : "–",
        isMeasured ? "measured" : "not measured yet",
      ],
    ],
  )
}

function perEventTable(costs: Costs): string {
  return table(
    ["", "events a second", "requests", "write units", "read units"],
    VARIANTS.flatMap((variant) =>
      RATES.map((rate) => {
        const used = costs.usage(variant, rate)
        const figures = [used.requests, used.writeUnits, used.readUnits].map((all) => all / used.events)
        return [NAMES[variant], whole(rate), ...figures.map((figure) => String(Number(figure.toFixed(2))))]
      }),
    ),
  )
}

function costsTable(costs: Costs): string {
  return table(
    ["events a second", "", "writes", "reads", "compute", "invocations", "total", "without the writes"],
    RATES.flatMap((rate) =>
      VARIANTS.map((variant) => {
        const { writes, reads, compute, invocations, total } = costs.cost(variant, rate)
        return [
          whole(rate),
          NAMES[variant],
          ...[writes, reads, compute, invocations].map(dollars),
          `**${dollars(total)}**`,
          dollars(total - writes),
        ]
      }),
    ),
  )
}

function pricesTable({ prices, readOn, region }: PriceList): string {
  const rows = Object.values(prices).map(({ name, usd, unit, source, readIn }) => [
    name,
    usd === 0 ? "free" : `$${usd < 0.001 ? usd : usd.toLocaleString("en-US", AT_LEAST_CENTS)} per ${unit}`,
    `[AWS](${source})`,
    `[${new URL(readIn).hostname.replace(/^www\./, "")}](${readIn})`,
  ])
  return `In \`${region}\`, read on ${readOn}:\n\n${table(["what", "price", "published by", "read in"], rows)}`
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n")
}

function time(ms: number): string {
  if (ms >= 2000) return `${(ms / 1000).toFixed(0)} s`
  return `${ms >= 100 ? whole(ms) : ms.toFixed(1)} ms`
}

function dollars(amount: number): string {
  return `$${amount >= 100 ? whole(amount) : amount.toFixed(2)}`
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US")
}

/** @returns the exit code */
function main(args: readonly string[]): number {
  const list = read<PriceList>(PRICES)
  const before = readFileSync(PAGE, "utf8")
  const after = fillBlocks(
    before,
    blocksFrom(list, {
      units: resultOf("units"),
      idle: resultOf("idle"),
      latency: resultOf("latency"),
      "remote-latency": resultOf("remote-latency"),
      stream: resultOf("stream"),
    }),
  )
  if (before === after) {
    console.log(`${PAGE}: up to date`)
  } else if (args.includes("--check")) {
    console.error(`${PAGE}: differs from its sources. Run: npm run docs:choosing`)
    return 1
  } else {
    writeFileSync(PAGE, after)
    console.log(`${PAGE}: written`)
  }
  return 0
}

function resultOf<Name extends keyof Measurements>(name: Name): Measurements[Name] {
  return read<{ result: Measurements[Name] }>(`docs/performance/${name}.json`).result
}

function read<T>(path: string): T {
  return JSON.parse(readFileSync(path, "utf8")) as T
}

if (import.meta.url === pathToFileURL(resolve(process.argv[1] ?? "")).href) {
  process.exitCode = main(process.argv.slice(2))
}
