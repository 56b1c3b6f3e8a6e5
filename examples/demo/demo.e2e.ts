/** The demo as users start it: it exits by itself, successfully, and leaves no process behind, whatever happens. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { describe, expect, inject, onTestFinished, test } from "vitest"
import { until } from "../../e2e/fixture/until.ts"

const DEMO = fileURLToPath(new URL("./demo.ts", import.meta.url))

function startDemo() {
  const child = spawn(process.execPath, ["--import", "tsx", DEMO], {
    env: { ...process.env, DYNAMODB_ENDPOINT: inject("endpoint") as string, DYNAMODB_ENGINE: "" },
    stdio: ["ignore", "pipe", "pipe"],
  })
  onTestFinished(() => void child.kill("SIGKILL"))
  const ended = once(child, "close")
  const demo = { child, ended, output: "" }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      demo.output += text
    })
  }
  return demo
}

const relayPids = (output: string) =>
  [...output.matchAll(/ready, process (\d+)/g)].map(([, pid]) => Number(pid))

function runs(pid: number): boolean {
  try {
    return !execFileSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).startsWith("Z")
  } catch {
    return false
  }
}

const untilGone = (pids: readonly number[]) => until("no relay is left", () => !pids.some(runs))

describe("npm run demo", { timeout: 60_000 }, () => {
  test("succeeds, with nothing lost", async () => {
    const demo = startDemo()
    expect(await demo.ended, demo.output).toEqual([0, null])
    expect(demo.output).toMatch(/^ {2}lost +0 +0 /m)
    expect(demo.output).toMatch(/All \d+ checks against the tables passed/)
    expect(demo.output).not.toContain("\u001b")
    await untilGone(relayPids(demo.output))
  })

  test.for<[string, (demo: ChildProcess, relays: number[]) => unknown, unknown, RegExp]>([
    ["is interrupted", (demo) => demo.kill("SIGINT"), [130, null], /interrupted by SIGINT/],
    ["is killed", (demo) => demo.kill("SIGKILL"), [null, "SIGKILL"], /relay/],
    [
      "loses a relay that it did not kill",
      (_demo, [pid]) => process.kill(pid as number, "SIGKILL"),
      [1, null],
      /relay 1 exited unexpectedly \(SIGKILL\)/,
    ],
  ])("leaves no process when it %s", async ([, interfere, exit, words]) => {
    const demo = startDemo()
    await until("orders come in", () => /shop +A-101/.test(demo.output))
    const relays = relayPids(demo.output)
    expect(relays).toHaveLength(2)
    interfere(demo.child, relays)
    expect(await demo.ended, demo.output).toEqual(exit)
    expect(demo.output).toMatch(words)
    await untilGone(relays)
  })
})
