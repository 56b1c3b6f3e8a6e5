// Measures what an entry point adds to a cold start: the size of a bundle of it, and the time to load that. The SDK stays
// outside of the bundle, as in Lambda's runtime, and is loaded before.
import { execFile } from "node:child_process"
import { mkdtemp, rm, stat } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { build } from "esbuild"
import type { Lab } from "../lab.ts"
import { rounded, type Spread, spreadOf } from "../spread.ts"
import { atMost, type Measure } from "../target.ts"

interface ColdStartRow {
  entry: string
  /** Minified, without source map. */
  kilobytes: number
  importMs: Spread
}

export interface ColdStartResult {
  rows: ColdStartRow[]
}

/** Limits somewhat above what was measured when they were set: 91 and 5 KB, 13 and 5 ms. */
const ENTRIES = [
  { entry: "root", file: "src/index.ts", mostKilobytes: 95, mostMs: 20 },
  { entry: "…/lambda", file: "src/lambda.ts", mostKilobytes: 8, mostMs: 8 },
]

const ROOT = fileURLToPath(new URL("../../", import.meta.url))

async function run(lab: Lab): Promise<ColdStartResult> {
  // Below the project, so that the SDK is found from there.
  const folder = await mkdtemp(`${ROOT}node_modules/.cold-start-`)
  try {
    const rows: ColdStartRow[] = []
    for (const { entry, file } of ENTRIES) {
      const bundle = `${folder}/${file.replaceAll("/", "-")}.mjs`
      await build({
        entryPoints: [`${ROOT}${file}`],
        outfile: bundle,
        bundle: true,
        minify: true,
        format: "esm",
        platform: "node",
        target: "node20",
        external: ["@aws-sdk/*"],
        alias: { "outbox-event-bus": `${ROOT}packages/outbox-event-bus/src/index.ts` },
      })
      const times: number[] = []
      for (let i = 0; i < lab.settings.coldStart.starts; i++) times.push(await importMs(bundle))
      const { size } = await stat(bundle)
      const row = { entry, kilobytes: rounded(size / 1024), importMs: spreadOf(times) }
      lab.log(`  ${JSON.stringify(row)}`)
      rows.push(row)
    }
    return { rows }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The time that a new process takes to load the bundle. */
async function importMs(bundle: string): Promise<number> {
  const script = `
    await import("@aws-sdk/client-dynamodb")
    await import("@aws-sdk/lib-dynamodb")
    const start = performance.now()
    await import(${JSON.stringify(bundle)})
    console.log(performance.now() - start)
  `
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
    cwd: ROOT,
  })
  return Number(stdout)
}

function targets({ rows }: ColdStartResult) {
  return rows.flatMap(({ entry, kilobytes, importMs: { median } }) => {
    const limits = ENTRIES.find((known) => known.entry === entry)
    if (!limits) return []
    return [
      atMost(limits.mostKilobytes, kilobytes, {
        figure: `bundle of ${entry}, SDK outside`,
        dependsOnTime: false,
        unit: " KB",
      }),
      atMost(limits.mostMs, median, {
        figure: `loading ${entry} after the SDK`,
        dependsOnTime: true,
        unit: " ms",
      }),
    ]
  })
}

export const coldStartMeasure: Measure<ColdStartResult> = { name: "cold-start", run, targets }
