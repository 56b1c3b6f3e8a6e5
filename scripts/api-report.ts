/**
 * Writes the API reports in `etc/`: the public signatures of each entry point of the packages, as built. `--check` compares
 * them instead, and fails where they differ: no signature changes unseen.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import {
  Extractor,
  ExtractorConfig,
  ExtractorLogLevel,
  type ExtractorMessage,
} from "@microsoft/api-extractor"

const ROOT = fileURLToPath(new URL("..", import.meta.url))
const PACKAGES = [".", "packages/outbox-event-bus"].map((folder) => join(ROOT, folder))
const REPORTS = join(ROOT, "etc")

export interface EntryPoint {
  /** Name of its report, without the ending. */
  name: string
  /** The package. */
  folder: string
  /** Path of its type declarations, as built. */
  declarations: string
}

interface Manifest {
  name: string
  exports: Record<string, string | { import: { types: string } }>
}

/** All that a user can import: what the manifests export, so that a new one can't be forgotten. */
export function entryPoints(): EntryPoint[] {
  return PACKAGES.flatMap((folder) => {
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest
    const unscoped = manifest.name.replace(/^@.*\//, "")
    return Object.entries(manifest.exports).flatMap(([path, target]) =>
      typeof target === "string"
        ? []
        : [
            {
              name: unscoped + path.slice(1).replaceAll("/", "-"),
              folder,
              declarations: join(folder, target.import.types),
            },
          ],
    )
  })
}

/**
 * Compares the report of an entry point with its declarations, or writes it.
 *
 * @returns what is wrong with it; empty if it is as it should be.
 */
export function report(entryPoint: EntryPoint, mode: "write" | "check"): string[] {
  const complaints: string[] = []
  mkdirSync(REPORTS, { recursive: true })
  const temporary = mkdtempSync(join(entryPoint.folder, ".api-report-"))
  try {
    copyDeclarations(dirname(entryPoint.declarations), temporary)
    const { succeeded } = Extractor.invoke(configOf(entryPoint, temporary), {
      localBuild: mode === "write",
      messageCallback: (message) => {
        message.handled = true
        if (isComplaint(message)) complaints.push(message.text)
      },
    })
    if (!succeeded && complaints.length === 0) complaints.push("the extractor failed")
  } finally {
    rmSync(temporary, { recursive: true })
  }
  return complaints
}

/**
 * Within a type literal, the bundler puts a member's comment on the line of the member before. There it would count as part of
 * the signature, and each change of a comment as one of the API.
 */
function copyDeclarations(from: string, to: string): void {
  for (const file of readdirSync(from).filter((name) => name.endsWith(".d.mts"))) {
    const text = readFileSync(join(from, file), "utf8")
    writeFileSync(join(to, file), text.replace(/; (\/\*\*(?:[^*]|\*(?!\/))*\*\/)$/gm, ";\n$1"))
  }
}

function isComplaint({ logLevel }: ExtractorMessage): boolean {
  return logLevel === "error" || logLevel === "warning"
}

function configOf({ name, folder, declarations }: EntryPoint, temporary: string): ExtractorConfig {
  const entry = join(temporary, basename(declarations))
  return ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(folder, "package.json"),
    configObject: {
      projectFolder: folder,
      mainEntryPointFilePath: entry,
      compiler: {
        overrideTsconfig: {
          compilerOptions: {
            module: "nodenext",
            target: "es2022",
            strict: true,
            skipLibCheck: true,
            types: ["node"],
          },
          files: [entry],
        },
      },
      apiReport: { enabled: true, reportFileName: name, reportFolder: REPORTS, reportTempFolder: temporary },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      newlineKind: "lf",
      messages: {
        // Comments are checked by those who read them; the report is about signatures.
        extractorMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
        tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
        compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
      },
    },
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const mode = process.argv.includes("--check") ? "check" : "write"
  for (const entryPoint of entryPoints()) {
    const complaints = report(entryPoint, mode)
    for (const complaint of complaints) console.error(`${entryPoint.name}: ${complaint}`)
    if (mode === "check" && complaints.length > 0) process.exitCode = 1
    if (mode === "write") console.log(`etc/${entryPoint.name}.api.md`)
  }
}
