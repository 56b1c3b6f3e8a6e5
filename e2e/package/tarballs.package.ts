/** What is in the tarballs, and whether Node, bundlers and TypeScript find it. */
import { execFile } from "node:child_process"
import { readdir, readFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { describe, expect, inject, test } from "vitest"

const run = promisify(execFile)
const { repository } = createRequire(import.meta.url)("../../package.json")
const attw = join(
  dirname(createRequire(import.meta.url).resolve("@arethetypeswrong/cli/package.json")),
  "dist/index.js",
)

const { adapter, core, cli } = inject("tarballs")

describe.each([adapter, core])("$name", ({ folder, files }) => {
  test("holds what users need, and nothing else", async () => {
    const sources = (await readdir(join(folder, "src"), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && !/\.(test|fixture|conformance)\./.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length).replace(/^\//, ""))
    const rest = files.filter((file) => !file.startsWith("src/") && !file.startsWith("dist/"))
    expect(rest).toEqual(["CHANGELOG.md", "LICENSE", "README.md", "package.json"])
    expect(files.filter((file) => file.startsWith("src/"))).toEqual(sources.toSorted())
    for (const file of files.filter((file) => file.startsWith("dist/"))) {
      expect(file).toMatch(/\.(mjs|cjs|d\.mts|d\.cts)(\.map)?$/)
    }
    const { exports } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"))
    const entries = Object.keys(exports).filter((entry) => entry !== "./package.json")
    expect(entries.length).toBeGreaterThan(1)
    for (const entry of entries) {
      const name = entry === "." ? "index" : entry.slice(2)
      const built = ["mjs", "cjs", "d.mts", "d.cts"].map((extension) => `dist/${name}.${extension}`)
      expect(files).toEqual(expect.arrayContaining(built))
    }
  })
})

test(`${cli.name} holds the command, and nothing else`, () => {
  expect(cli.files).toEqual(["LICENSE", "README.md", "dist/cli.mjs", "package.json"])
})

describe.each([adapter, core, cli])("$name", ({ folder, path }) => {
  test("its manifest names the repository, and nothing that only the repository's own installation needs", async () => {
    const { stdout } = await run("tar", ["xzOf", path, "package/package.json"])
    const manifest = JSON.parse(stdout)
    const own = ["workspaces", "overrides", "allowScripts", "scripts", "devDependencies"]
    expect(Object.keys(manifest).filter((field) => own.includes(field))).toEqual([])
    const page = repository.url.replace(/^git\+/, "").replace(/\.git$/, "")
    expect(manifest).toMatchObject({ repository, bugs: { url: `${page}/issues` } })
    expect(manifest.homepage.startsWith(page)).toBe(true)
  })

  test("publint finds nothing", async () => {
    const { messages, pkg } = await publint({ pkgDir: folder, strict: true })
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([])
  })

  test("attw finds nothing", async () => {
    // It exits with an error, which shows its table. All ways to resolve are checked, `moduleResolution: node10` too.
    await run(process.execPath, [attw, path, "--profile", "strict", "--no-color"])
  })
})
