import { describe, expect, it } from "vitest"
import { extract, fillSnippets, markdownFiles } from "./markdown-snippets.ts"

const SOURCE = `import x from "x"
function outer() {
  // #region inner
  // biome-ignore lint/suspicious/noConsole: shown to users
  if (x) {
    go()
  }
  // #endregion
}
`
const files = (path: string) => (path === "table.yml" ? "# #region a\nA: 1\n# #endregion a\nB: 2\n" : SOURCE)

describe("fillSnippets", () => {
  it("writes a region after its marker, at the left margin, in the file's language", () => {
    const markdown = "# Title\n\n<!-- snippet: a.ts#inner -->\n\ntext\n"
    expect(fillSnippets(markdown, files)).toBe(
      "# Title\n\n<!-- snippet: a.ts#inner -->\n```ts\nif (x) {\n  go()\n}\n```\n\ntext\n",
    )
  })

  it("replaces the fence that is there, and changes nothing the second time", () => {
    const markdown = "<!-- snippet: table.yml#a -->\n```yaml\nold\n\n\nolder\n```\nafter\n"
    const once = fillSnippets(markdown, files)
    expect(once).toBe("<!-- snippet: table.yml#a -->\n```yaml\nA: 1\n```\nafter\n")
    expect(fillSnippets(once, files)).toBe(once)
  })

  it("quotes a whole file without its region lines", () => {
    expect(fillSnippets("<!-- snippet: table.yml -->", files)).toContain("```yaml\nA: 1\nB: 2\n```")
  })

  it("takes the language of cdk.ts.txt for ts", () => {
    expect(fillSnippets("<!-- snippet: cdk.ts.txt#inner -->", files)).toContain("```ts\n")
  })

  it("leaves alone other fences, and markers inside of them", () => {
    const markdown = "```ts\n<!-- snippet: a.ts#inner -->\n```\n\n```sh\nls\n```\n"
    expect(fillSnippets(markdown, files)).toBe(markdown)
  })

  it.for([
    ["<!-- snippet: a.ts #inner -->", /line 1: expected <!-- snippet: path#region -->/],
    ["<!-- snippet: a.ts#outer -->", /a\.ts: no region outer; it has inner/],
    ["<!-- snippet: a.ts#inner -->\n```ts\nnever ends", /line 2: the code fence has no end/],
  ] as const)("refuses %j", ([markdown, message]) => {
    expect(() => fillSnippets(markdown, files)).toThrow(message)
  })
})

describe("extract", () => {
  it("quotes an outer region without the lines of regions inside it", () => {
    const source = "// #region all\na()\n// #region part\nb()\n// #endregion\nc()\n// #endregion\n"
    expect(extract(source, "a.ts", "all")).toBe("a()\nb()\nc()")
    expect(extract(source, "a.ts", "part")).toBe("b()")
  })

  it.for([
    ["// #region a\n", /region a has no #endregion/],
    ["// #endregion\n", /an #endregion without its #region/],
    ["// #region a\n// #endregion\n", /region a is empty/],
    ["// #region a\nx\n// #endregion\n// #region a\nx\n// #endregion\n", /region a occurs twice/],
  ] as const)("refuses %j", ([source, message]) => {
    expect(() => extract(source, "a.ts", "a")).toThrow(message)
  })
})

describe("markdownFiles", () => {
  it("has the README, the pages of docs and the packages' READMEs", () => {
    const files = markdownFiles()
    expect(files).toContain("README.md")
    expect(files).toContain("docs/architecture.md")
    expect(files).toContain("packages/outbox-event-bus/README.md")
    expect(files.every((file) => file.endsWith(".md"))).toBe(true)
  })
})
