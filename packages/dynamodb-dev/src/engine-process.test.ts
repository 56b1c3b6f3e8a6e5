import getPort from "get-port"
import { afterEach, describe, expect, it, vi } from "vitest"
import { answeringServer } from "./answering-server.fixture.ts"
import type { RunningDynamoDB } from "./engine.ts"
import { type EngineCommand, startEngineProcess } from "./engine-process.ts"
import { isRunning, parentOf, untilGone } from "./process-state.fixture.ts"

vi.mock("get-port", async (importOriginal) => {
  const original = await importOriginal<typeof import("get-port")>()
  return { ...original, default: vi.fn(original.default) }
})

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"

/** An engine of a few lines: JavaScript that finds its port in `process.argv[1]`. */
function engineThat(javaScript: string): EngineCommand {
  return {
    engine: "dynoxide",
    file: process.execPath,
    args: (port) => ["-e", javaScript, String(port)],
    host: "127.0.0.1",
    listening: /^listening$/m,
    portTaken: /EADDRINUSE/,
  }
}

const SERVE = `
  require("node:http").createServer((_, response) => response.end('{"TableNames":[]}'))
    .listen(process.argv[1], "127.0.0.1", () => console.log("listening"))`

let running: RunningDynamoDB | undefined
let closeServer = () => {}
afterEach(async () => {
  closeServer()
  await running?.stop()
  running = undefined
})

describe("startEngineProcess", { timeout: 30_000 }, () => {
  it("resolves with an engine that answers, and stop() ends its process", async () => {
    running = await startEngineProcess(engineThat(SERVE), { port: undefined, readyTimeoutMs: 10_000 })
    const pid = running.pid ?? 0
    expect(isRunning(pid)).toBe(true)
    await Promise.all([running.stop(), running.stop()])
    expect(isRunning(pid)).toBe(false)
    await running.ended
  })

  it("tells when the engine ends by itself", async () => {
    running = await startEngineProcess(engineThat(SERVE), { port: undefined, readyTimeoutMs: 10_000 })
    process.kill(running.pid ?? 0, "SIGKILL")
    await running.ended
    await running.stop()
  })

  it("ends an engine that is frozen", async () => {
    running = await startEngineProcess(engineThat(SERVE), { port: undefined, readyTimeoutMs: 10_000 })
    process.kill(running.pid ?? 0, "SIGSTOP")
    await running.stop()
    await untilGone(running.pid ?? 0)
  })

  it("ends the engine when its watchdog is killed", async () => {
    running = await startEngineProcess(engineThat(SERVE), { port: undefined, readyTimeoutMs: 10_000 })
    const pid = running.pid ?? 0
    process.kill(parentOf(pid), "SIGKILL")
    await untilGone(pid)
  })

  it("takes another port when the first was taken meanwhile, even by another DynamoDB", async () => {
    const other = await answeringServer()
    closeServer = other.close
    vi.mocked(getPort).mockResolvedValueOnce(other.port)
    running = await startEngineProcess(engineThat(SERVE), { port: undefined, readyTimeoutMs: 10_000 })
    expect(running.endpoint).not.toBe(other.endpoint)
    expect(other.requests()).toBe(0)
  })

  it("gives up when every port is taken", async () => {
    const engine = engineThat('console.error("EADDRINUSE"); setInterval(() => {}, 1000)')
    await expect(startEngineProcess(engine, { port: undefined, readyTimeoutMs: 10_000 })).rejects.toThrow(
      /port \d+ is taken/,
    )
  })

  it("refuses a taken port that was asked for", async () => {
    const other = await answeringServer()
    closeServer = other.close
    const start = startEngineProcess(engineThat(SERVE), { port: other.port, readyTimeoutMs: 10_000 })
    await expect(start).rejects.toThrow(`port ${other.port} is taken`)
  })

  it("uses the port that was asked for, again and again", async () => {
    const port = await getPort({ host: "127.0.0.1" })
    for (let time = 0; time < 2; time++) {
      running = await startEngineProcess(engineThat(SERVE), { port, readyTimeoutMs: 10_000 })
      expect(running.endpoint).toBe(`http://127.0.0.1:${port}`)
      await running.stop()
    }
  })

  it("says what an engine printed that ended before it was ready", async () => {
    const engine = engineThat('console.error("no such library"); process.exitCode = 3')
    await expect(startEngineProcess(engine, { port: undefined, readyTimeoutMs: 10_000 })).rejects.toThrow(
      "the process ended before it was ready; it printed:\nno such library",
    )
  })

  it("says that a program could not be run", async () => {
    const engine = { ...engineThat(""), file: "/no/such/program" }
    await expect(startEngineProcess(engine, { port: undefined, readyTimeoutMs: 10_000 })).rejects.toThrow(
      "spawn /no/such/program ENOENT",
    )
  })

  it("ends an engine that isn't ready in time, and says what it printed", async () => {
    const engine = engineThat('console.error("pid:" + process.pid); setInterval(() => {}, 1000)')
    const error: Error = await startEngineProcess(engine, { port: undefined, readyTimeoutMs: 500 }).then(
      () => expect.unreachable(),
      (reason) => reason,
    )
    expect(error.message).toContain("within 500 ms")
    await untilGone(Number(/pid:(\d+)/.exec(error.message)?.[1]))
  })
})
