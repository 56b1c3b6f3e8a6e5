/** Both tarballs, installed together in a clean folder, with the newest and the oldest AWS SDK: what a user has. */
import { execFile } from "node:child_process"
import { access, cp, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"

const run = promisify(execFile)
const CONSUMER = fileURLToPath(new URL("./consumer", import.meta.url))
const TSC = fileURLToPath(new URL("../../node_modules/typescript/bin/tsc", import.meta.url))
const NODE_TYPES = "20.19.0"

const { adapter, core } = inject("tarballs")

describe.each(["newest", "oldest"] as const)("with the %s AWS SDK", (age) => {
  let folder = ""

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), `outbox-consumer-${age}-`))
    await cp(CONSUMER, folder, { recursive: true })
    const manifest = {
      private: true,
      dependencies: {
        ...inject("sdk")[age],
        [adapter.name]: `file:${adapter.path}`,
        [core.name]: `file:${core.path}`,
        "@types/node": NODE_TYPES,
      },
    }
    await writeFile(join(folder, "package.json"), JSON.stringify(manifest))
    const quiet = ["--prefer-offline", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    await run("npm", ["install", ...quiet], { cwd: folder })
  }, 240_000)

  afterAll(() => rm(folder, { recursive: true, force: true }))

  const node = async (script: string, ...args: string[]) =>
    (await run(process.execPath, [script, ...args], { cwd: folder })).stdout.trim()

  test("there is one copy of the core", async () => {
    await access(join(folder, "node_modules", core.name))
    await expect(access(join(folder, "node_modules", adapter.name, "node_modules"))).rejects.toThrow("ENOENT")
  })

  test("from ESM", async () => {
    expect(await node("esm.mjs")).toBe("ok")
  })

  test("from CommonJS", async () => {
    expect(await node("commonjs.cjs")).toBe("ok")
  })

  test("from TypeScript, as ESM and as CommonJS, libraries checked too", async () => {
    // A compiler's complaint is on stdout, which an error of execFile does not show.
    const complaint = await run(process.execPath, [TSC, "--project", folder], { cwd: folder }).catch(
      ({ stdout }) => stdout,
    )
    expect(complaint).toMatchObject({ stdout: "" })
  })

  test("the life of an event on a real engine", async () => {
    expect(await node("life-cycle.mjs", inject("databaseEndpoint"), `consumer-${age}`)).toBe("ok")
  })
})
