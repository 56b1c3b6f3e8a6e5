/** The command line, installed from its tarball beside the libraries that it needs: what `npx` runs. */
import { execFile } from "node:child_process"
import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { LOCAL_CREDENTIALS, LOCAL_REGION } from "../../packages/dynamodb-dev/src/index.ts"

const run = promisify(execFile)
const { adapter, core, cli } = inject("tarballs")

let folder = ""

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "outbox-cli-"))
  const dependencies = Object.fromEntries(
    [cli, adapter, core].map(({ name, path }) => [name, `file:${path}`]),
  )
  await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, dependencies }))
  const quiet = ["--prefer-offline", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
  await run("npm", ["install", ...quiet], { cwd: folder })
}, 240_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

async function command(...args: string[]): Promise<string> {
  const env = {
    PATH: process.env.PATH,
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
    AWS_REGION: LOCAL_REGION,
    AWS_ACCESS_KEY_ID: LOCAL_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: LOCAL_CREDENTIALS.secretAccessKey,
  }
  const { stdout, stderr } = await run(join(folder, "node_modules/.bin/dynamodb-outbox"), args, { env })
  expect(stderr).toBe("")
  return stdout
}

test("it uses the library that is installed beside it", async () => {
  for (const { name } of [adapter, core]) {
    await access(join(folder, "node_modules", name))
    const own = join(folder, "node_modules", cli.name, "node_modules", name)
    await expect(access(own)).rejects.toThrow("ENOENT")
  }
})

test("it prints its version, and help", async () => {
  const { version } = JSON.parse(await readFile(join(cli.folder, "package.json"), "utf8"))
  expect(await command("--version")).toBe(`${version}\n`)
  const help = await command("--help")
  for (const name of [
    "create-table",
    "doctor",
    "status",
    "failed",
    "show",
    "retry",
    "discard",
    "repair",
    "purge",
  ])
    expect(help).toContain(`\n  ${name} `)
})

test("it creates a table on a real engine, checks it, and shows its backlog", async () => {
  const on = ["--endpoint", inject("databaseEndpoint"), "--table", "cli-installed", "--json"]
  expect(JSON.parse(await command(...on, "create-table"))).toEqual({ created: "cli-installed" })
  const findings: Array<{ severity: string }> = JSON.parse(await command(...on, "doctor"))
  expect(findings.filter(({ severity }) => severity === "error")).toEqual([])
  expect(JSON.parse(await command(...on, "status"))).toMatchObject({
    due: { count: 0 },
    failed: { count: 0 },
  })
})
