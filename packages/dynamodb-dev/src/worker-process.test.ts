import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { expect, onTestFinished, test, vi } from "vitest"
import { isRunning, stateOf, untilGone } from "./process-state.fixture.ts"
import { startWorkerProcess, type WorkerProcessOptions } from "./worker-process.ts"

interface Beat {
  now: number
  date: string
  text: string
}

const HOUR_MS = 3_600_000
const START_MS = 20_000

async function startBeating(options: Partial<WorkerProcessOptions> = {}) {
  const beats: Beat[] = []
  const worker = startWorkerProcess({
    entry: new URL("./worker-process.fixture.ts", import.meta.url),
    execArgv: ["--import", "tsx"],
    onMessage: (message) => beats.push(message as Beat),
    ...options,
  })
  onTestFinished(() => void worker.kill())
  const untilBeats = (count: number) =>
    vi.waitFor(() => expect(beats.length).toBeGreaterThanOrEqual(count), { timeout: START_MS, interval: 5 })
  await untilBeats(1)
  return { worker, beats, untilBeats }
}

test("a worker is frozen and thawed, and killed while it is frozen", { timeout: 60_000 }, async () => {
  const { worker, beats, untilBeats } = await startBeating()
  worker.freeze()
  expect(worker.isFrozen).toBe(true)
  await vi.waitFor(() => expect(stateOf(worker.pid)).toMatch(/^T/), { timeout: START_MS })
  const before = beats.length
  worker.thaw()
  await untilBeats(before + 1)

  worker.freeze()
  expect(await worker.kill()).toMatchObject({ code: null, signal: "SIGKILL" })
  expect(worker.hasEnded).toBe(true)
  expect(isRunning(worker.pid)).toBe(false)
  expect(await worker.kill()).toMatchObject({ signal: "SIGKILL" })
})

test("a worker has a clock of its own, which can be moved", { timeout: 60_000 }, async () => {
  const { worker, beats } = await startBeating({ clockOffsetMs: -24 * HOUR_MS })
  const [first] = beats
  expect(Math.abs((first?.now as number) - (Date.now() - 24 * HOUR_MS))).toBeLessThan(START_MS)
  expect(Math.abs(Date.parse(first?.date as string) - (first?.now as number))).toBeLessThan(1_000)
  expect(first?.text).toBe(String(new Date(first?.now as number)).slice(0, 15))

  worker.setClock(HOUR_MS)
  await vi.waitFor(() => expect(beats.at(-1)?.now).toBeGreaterThan(Date.now() + HOUR_MS / 2), {
    timeout: START_MS,
  })
})

test("a worker that has nothing to do but to listen goes on", { timeout: 60_000 }, async () => {
  const { worker, untilBeats } = await startBeating({ args: ["listen"] })
  worker.send({ beat: true })
  await untilBeats(2)
})

test("a worker's crash tells its error", { timeout: 60_000 }, async () => {
  const { worker } = await startBeating()
  worker.send({ die: true })
  const end = await worker.ended
  expect(end.code).toBe(1)
  expect(end.stderr).toContain("a crash that the test asked for")
})

test("no worker outlives its parent, not even a frozen one", { timeout: 60_000 }, async () => {
  const parent: ChildProcess = fork(
    fileURLToPath(new URL("./freezing-parent.fixture.ts", import.meta.url)),
    [],
    { execArgv: ["--import", "tsx"] },
  )
  onTestFinished(() => void parent.kill("SIGKILL"))
  const [{ pid }] = (await once(parent, "message")) as [{ pid: number }]
  expect(isRunning(pid)).toBe(true)
  parent.kill("SIGKILL")
  await untilGone(pid)
})
