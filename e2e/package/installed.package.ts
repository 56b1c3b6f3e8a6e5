/** Both tarballs, installed together in a clean folder, with the newest and the oldest AWS SDK: what a user has. */
import { execFile } from "node:child_process"
import { access, cp, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest"

const run = promisify(execFile)
const CONSUMER = fileURLToPath(new URL("./consumer", import.meta.url))
const TSC = fileURLToPath(new URL("../../node_modules/typescript/bin/tsc", import.meta.url))
const COMPATIBILITY = fileURLToPath(new URL("../compat", import.meta.url))
const VITEST = fileURLToPath(new URL("../../node_modules/vitest", import.meta.url))
const NODE_TYPES = "20.19.0"
const OPENTELEMETRY = "1.9.0"
const LAMBDA_TYPES = "8.10.164"

const { adapter, core } = inject("tarballs")

/** How users resolve modules, and the option that changes what may be assigned. */
const RESOLUTIONS = [
  { name: "ESM", type: "module", module: { module: "nodenext" } },
  { name: "CommonJS", type: "commonjs", module: { module: "nodenext" } },
  { name: "a bundler", type: "module", module: { module: "preserve", moduleResolution: "bundler" } },
].flatMap((resolution) => [true, false].map((exact) => ({ ...resolution, exact })))

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
        "@types/aws-lambda": LAMBDA_TYPES,
        "@opentelemetry/api": OPENTELEMETRY,
      },
    }
    await writeFile(join(folder, "package.json"), JSON.stringify(manifest))
    const quiet = ["--prefer-offline", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    await run("npm", ["install", ...quiet], { cwd: folder })
    await cp(COMPATIBILITY, join(folder, "compat"), { recursive: true })
    await symlink(VITEST, join(folder, "node_modules/vitest"))
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

  /** What the compiler says. It is on stdout, which an error of execFile does not show. */
  const complaintsOf = (project: string): Promise<string> =>
    run(process.execPath, [TSC, "--project", project], { cwd: folder }).then(
      ({ stdout }) => stdout,
      ({ stdout }) => stdout,
    )

  test("from TypeScript, as ESM and as CommonJS, libraries checked too", async () => {
    expect(await complaintsOf(folder)).toBe("")
  })

  // Each SDK, and each way of loading the packages, but not all combinations.
  const FORMATS = age === "newest" ? ["module", "commonjs"] : ["module"]
  test.each(FORMATS)("the compatibility suite, as %s", async (format) => {
    const env = { ...process.env, COMPAT_FORMAT: format, NO_COLOR: "1" }
    const vitest = [join(VITEST, "vitest.mjs"), "run", "--root", folder]
    const { failed, output } = await run(process.execPath, vitest, { cwd: folder, env }).then(
      ({ stdout }) => ({ failed: false, output: stdout }),
      ({ stdout, stderr }) => ({ failed: true, output: stdout + stderr }),
    )
    expect(failed, output).toBe(false)
    expect(output).toMatch(/Tests.* passed/)
  })

  test.each(age === "newest" ? RESOLUTIONS : RESOLUTIONS.slice(0, 1))(
    "programs of users compile for $name, exactOptionalPropertyTypes $exact",
    async ({ type, module, exact }) => {
      const project = await mkdtemp(join(folder, "programs-"))
      await cp(join(COMPATIBILITY, "programs"), project, { recursive: true })
      await writeFile(join(project, "package.json"), JSON.stringify({ type }))
      const checks = { strict: true, noImplicitOverride: true, exactOptionalPropertyTypes: exact }
      const output = { target: "es2022", noEmit: true, skipLibCheck: true, types: ["node"] }
      const config = { compilerOptions: { ...module, ...checks, ...output } }
      await writeFile(join(project, "tsconfig.json"), JSON.stringify(config))
      expect(await complaintsOf(project)).toBe("")
    },
  )

  test("the life of an event on a real engine", async () => {
    expect(await node("life-cycle.mjs", inject("databaseEndpoint"), `consumer-${age}`)).toBe("ok")
  })
})
