import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"
import type { EngineName } from "./engine-names.ts"
import { untilGone } from "./process-state.fixture.ts"
import { engineAvailability } from "./start-dynamodb.ts"

const PARENT = fileURLToPath(new URL("./starting-parent.fixture.ts", import.meta.url))

const parents: ChildProcess[] = []
afterAll(() => {
  for (const parent of parents) parent.kill("SIGKILL")
})

/** Runs a process that starts the engine; resolves with the engine's pid once it answers. */
async function startInParent(engine: EngineName, ending: "wait" | "crash" | "forget") {
  const child = spawn(process.execPath, ["--import", "tsx", PARENT, engine, ending], {
    env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
    stdio: ["ignore", "pipe", "pipe"],
  })
  parents.push(child)
  const ended = once(child, "exit")
  let printed = ""
  child.stderr.on("data", (text) => {
    printed += text
  })
  const pid = await new Promise<number>((resolve, reject) => {
    child.stdout.on("data", (text) => {
      printed += text
      const match = /pid:(\d+)/.exec(printed)
      if (match !== null) resolve(Number(match[1]))
    })
    child.once("close", () => reject(new Error(`the parent ended early: ${printed}`)))
  })
  return { child, pid, ended }
}

const java = await engineAvailability("dynamodb-local-java")

// At the same time: most of the time goes by while the parents and Java load.
describe.concurrent("an engine ends with the process that started it", { timeout: 30_000 }, () => {
  it.for([
    { engine: "dynoxide", can: true },
    { engine: "dynamodb-local-java", can: java.available },
  ] as const)("when that is killed ($engine)", async ({ engine, can }, { skip }) => {
    skip(!can, `${engine} can't run here`)
    const { child, pid, ended } = await startInParent(engine, "wait")
    child.kill("SIGKILL")
    await ended
    await untilGone(pid)
  })

  it("when that is interrupted", async () => {
    const { child, pid, ended } = await startInParent("dynoxide", "wait")
    child.kill("SIGINT")
    await ended
    await untilGone(pid)
  })

  it("when that crashes", async () => {
    const { pid, ended } = await startInParent("dynoxide", "crash")
    expect(await ended).toEqual([1, null])
    await untilGone(pid)
  })

  it("when that forgets stop(), which doesn't keep it from ending", async () => {
    const { pid, ended } = await startInParent("dynoxide", "forget")
    expect(await ended).toEqual([0, null])
    await untilGone(pid)
  })
})
