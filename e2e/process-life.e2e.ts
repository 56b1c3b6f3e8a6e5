/** A started relay keeps its process alive, whatever it waits for; nothing else of the library does. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { expect, onTestFinished, test } from "vitest"

function run(what: string) {
  const script = `
    import { DynamoDBAwsSdkOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
    // Nothing that a request or a handler waits for keeps the process alive.
    const client = { send: async (command) => {
      if (command.input.ExpressionAttributeValues?.[":status"] === "active") console.log("polling")
      return ${what === "hangs" ? "new Promise(() => {})" : "undefined"}
    } }
    const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: "outbox" })
    await outbox.publish([{ id: "e1", type: "t", payload: null, occurredAt: new Date() }].slice(0, ${what === "hangs" ? 0 : 1}))
    if (${what !== "publishes"}) outbox.start(async () => {}, () => {})
    if (${what === "stops"}) await outbox.stop()
  `
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  const ended = once(child, "exit")
  onTestFinished(async () => {
    child.kill("SIGKILL")
    await ended
  })
  return { child, ended }
}

test.each(["publishes", "stops"])("a process that only %s ends by itself", async (what) => {
  const [code] = await run(what).ended
  expect(code).toBe(0)
})

test("a started relay that only waits for the database keeps its process alive", async () => {
  const { child, ended } = run("hangs")
  await once(child.stdout, "data")
  // What runs out of work ends at once after its last line; a second process that does tells how long that takes.
  await run("stops").ended
  expect(child.exitCode).toBeNull()
  child.kill("SIGTERM")
  expect(await ended).toEqual([null, "SIGTERM"])
})
