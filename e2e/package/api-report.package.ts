/** The public signatures are those of the committed reports in `etc/`; a change must be written there to be seen in review. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { entryPoints, report } from "../../scripts/api-report.ts"

test.each(entryPoints())("the API of $name is the one in its report", (entryPoint) => {
  expect(report(entryPoint, "check"), "run `npm run api:report`, and commit what it writes").toEqual([])
})

test("a changed signature is noticed, a changed comment is not", async () => {
  const entryPoint = entryPoints().find(({ name }) => name === "outbox-event-bus")
  if (!entryPoint) throw new Error("the core has no entry point")
  const copy = await mkdtemp(join(entryPoint.folder, ".api-report-changed-"))
  onTestFinished(() => rm(copy, { recursive: true }))
  await cp(dirname(entryPoint.declarations), copy, { recursive: true })
  const declarations = join(copy, basename(entryPoint.declarations))
  const text = await readFile(declarations, "utf8")
  const reportOf = async (change: (text: string) => string) => {
    expect(change(text)).not.toBe(text)
    await writeFile(declarations, change(text))
    return report({ ...entryPoint, declarations }, "check")
  }
  expect(await reportOf((before) => before.replaceAll(/\/\*\* [^*]*\*\//g, "/** Other words. */"))).toEqual(
    [],
  )
  const changed = await reportOf((before) =>
    before.replace("calculateBackoff(attempt: number)", "calculateBackoff(attempt: string)"),
  )
  expect(changed).toEqual([expect.stringContaining("changed the API signature")])
})
