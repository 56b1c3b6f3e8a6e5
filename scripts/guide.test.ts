/** The shape of the guide: a README that stays short, and an index of all pages, so that each is two clicks away. */
import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { markdownFiles } from "./markdown-snippets.ts"

const MAX_README_LINES = 250

/** The API reference has an index of its own. */
const isGenerated = (path: string) => path.startsWith("docs/api/") && path !== "docs/api/README.md"

const index = readFileSync("docs/README.md", "utf8")
const pages = markdownFiles().filter(
  (path) => path.startsWith("docs/") && path !== "docs/README.md" && !isGenerated(path),
)

it("has a README that can be read in one sitting, and that links the index", () => {
  const readme = readFileSync("README.md", "utf8")
  expect(readme.trimEnd().split("\n").length).toBeLessThanOrEqual(MAX_README_LINES)
  expect(readme).toContain("](docs/README.md)")
})

it.for(pages)("lists %s in the index", (page) => {
  expect(index).toContain(`](${page.replace("docs/", "")})`)
})
