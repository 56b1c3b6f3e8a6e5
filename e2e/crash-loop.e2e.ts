/** An event that kills its worker, process after process, ends as a dead letter, and takes no other event with it. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { expect, onTestFinished, test } from "vitest"
import { someEvents } from "./fixture/events.ts"
import { createTable, endpoint, type TestTable } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { outboxOn } from "./fixture/worker.ts"

const SCRIPT = fileURLToPath(new URL("./fixture/worker-process.ts", import.meta.url))

/** Starts a worker, and another whenever one has died. */
function keepRunning(table: TestTable, concurrency: number) {
  const state = { crashes: 0, delivered: [] as string[] }
  let isOver = false
  let stopCurrent = () => {}
  const loop = (async () => {
    while (!isOver) {
      const child = spawn(
        process.execPath,
        ["--import", "tsx", SCRIPT, endpoint(), table.tableName, String(concurrency)],
        { stdio: ["ignore", "pipe", "inherit"] },
      )
      stopCurrent = () => child.kill("SIGKILL")
      child.stdout.on("data", (data) => state.delivered.push(...String(data).trim().split("\n")))
      await once(child, "exit")
      if (!isOver) state.crashes++
    }
  })()
  onTestFinished(async () => {
    isOver = true
    stopCurrent()
    await loop
  })
  return state
}

test.each([1, 5])("with concurrency %i", async (concurrency) => {
  const table = await createTable()
  const events = someEvents(25).map((event, i) => (i === 12 ? { ...event, type: "poison" } : event))
  await outboxOn(table).publish(events)
  const fleet = keepRunning(table, concurrency)
  await until("all are settled", async () =>
    (await table.all()).every(({ status }) => ["completed", "failed"].includes(status)),
  )
  const failed = await outboxOn(table).getFailedEvents()
  expect(failed).toMatchObject([{ id: "event-12", error: "Processing timeout", retryCount: 2 }])
  expect((await table.all()).filter(({ status }) => status === "completed")).toHaveLength(24)
  expect(fleet.crashes).toBe(2)
  expect(new Set(fleet.delivered).size).toBe(24)
})
