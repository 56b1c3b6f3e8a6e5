/** Builds and packs all packages once, as they would be published, and starts a database for those who run them. */
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { TestProject } from "vitest/node"
import { startDynamoDB } from "../../packages/dynamodb-dev/src/index.ts"

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL("../..", import.meta.url))

/** A packed package. */
export interface Tarball {
  name: string
  /** The folder that was packed. */
  folder: string
  /** Path of the tarball. */
  path: string
  files: string[]
}

declare module "vitest" {
  export interface ProvidedContext {
    tarballs: { adapter: Tarball; core: Tarball; cli: Tarball }
    /** The versions of the AWS SDK that the repository is developed with, and the oldest the adapter allows. */
    sdk: { newest: SdkVersions; oldest: SdkVersions }
    databaseEndpoint: string
  }
}

export interface SdkVersions {
  "@aws-sdk/client-dynamodb": string
  "@aws-sdk/lib-dynamodb": string
}

export default async function setup(project: TestProject) {
  const destination = await mkdtemp(join(tmpdir(), "outbox-tarballs-"))
  await run("npm", ["run", "build"], { cwd: ROOT })
  const core = await pack(join(ROOT, "packages/outbox-event-bus"), destination)
  const adapter = await pack(ROOT, destination)
  const cli = await pack(join(ROOT, "packages/cli"), destination)
  project.provide("tarballs", { adapter, core, cli })

  const { devDependencies, peerDependencies } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"))
  const versions = (of: (name: keyof SdkVersions) => string): SdkVersions => ({
    "@aws-sdk/client-dynamodb": of("@aws-sdk/client-dynamodb"),
    "@aws-sdk/lib-dynamodb": of("@aws-sdk/lib-dynamodb"),
  })
  project.provide("sdk", {
    newest: versions((name) => devDependencies[name]),
    oldest: versions((name) => peerDependencies[name].replace("^", "")),
  })

  const database = await startDynamoDB({ engine: "dynoxide" })
  project.provide("databaseEndpoint", database.endpoint)
  return async () => {
    await database.stop()
    await rm(destination, { recursive: true })
  }
}

async function pack(folder: string, destination: string): Promise<Tarball> {
  // The scripts around packing clean the manifest; .npmrc turns scripts off for the sake of installing.
  const options = ["--ignore-scripts=false", "--json", "--pack-destination", destination]
  const { stdout } = await run("npm", ["pack", ...options], { cwd: folder })
  const [packed] = JSON.parse(stdout) as [{ name: string; filename: string; files: Array<{ path: string }> }]
  return {
    name: packed.name,
    folder,
    path: join(destination, packed.filename),
    files: packed.files.map(({ path }) => path).toSorted(),
  }
}
