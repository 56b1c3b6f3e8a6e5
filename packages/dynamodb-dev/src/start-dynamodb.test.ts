import { afterEach, describe, expect, it, vi } from "vitest"
import { answeringServer } from "./answering-server.fixture.ts"
import { dynoxide } from "./dynoxide.ts"
import type { RunningDynamoDB } from "./engine.ts"
import { isRunning } from "./process-state.fixture.ts"
import { DynamoDBUnavailableError, engineAvailability, startDynamoDB } from "./start-dynamodb.ts"

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"

// So that no test starts a container where there is Docker.
vi.mock("testcontainers", () => ({
  getContainerRuntimeClient: () => Promise.reject(new Error("no container runtime")),
}))

let running: RunningDynamoDB | undefined
let closeServer = () => {}
afterEach(async () => {
  closeServer()
  await running?.stop()
  running = undefined
})

describe("startDynamoDB", () => {
  it("starts the embedded engine when nothing is named", async () => {
    running = await startDynamoDB({ env: {} })
    expect(running.engine).toBe("dynoxide")
    expect(running.endpoint).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    await running.stop()
    expect(isRunning(running.pid ?? 0)).toBe(false)
  })

  it("uses DYNAMODB_ENDPOINT where it is set, and leaves it running", async () => {
    const server = await answeringServer()
    closeServer = server.close
    const env = { DYNAMODB_ENDPOINT: server.endpoint }
    running = await startDynamoDB({ env })
    expect(running).toMatchObject({ engine: "endpoint", endpoint: server.endpoint })
    await running.stop()
    expect(await engineAvailability("endpoint", env)).toEqual({ available: true, how: server.endpoint })
  })

  it("takes the engine that is named, by DYNAMODB_ENGINE too, rather than DYNAMODB_ENDPOINT", async () => {
    const env = { DYNAMODB_ENDPOINT: "http://127.0.0.1:1", DYNAMODB_ENGINE: "dynoxide" }
    running = await startDynamoDB({ env })
    expect(running.engine).toBe("dynoxide")
    await running.stop()
    running = await startDynamoDB({ env: { ...env, DYNAMODB_ENGINE: "endpoint" }, engine: "dynoxide" })
    expect(running.engine).toBe("dynoxide")
  })

  it("doesn't fall back to another engine when DYNAMODB_ENDPOINT doesn't answer", async () => {
    const start = startDynamoDB({ env: { DYNAMODB_ENDPOINT: "http://127.0.0.1:1" }, readyTimeoutMs: 50 })
    await expect(start).rejects.toThrow(
      /endpoint: nothing answered ListTables at http:\/\/127\.0\.0\.1:1 within/,
    )
  })

  it("says in one error why each engine can't run and how to get it", async () => {
    const env = { DYNAMODB_ENGINE: "dynamodb-local", JAVA_HOME: "/no/such/java" }
    const error = await startDynamoDB({ env }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(DynamoDBUnavailableError)
    const { message, failures } = error as DynamoDBUnavailableError
    expect(failures.map(({ engine }) => engine)).toEqual(["dynamodb-local-java", "dynamodb-local-docker"])
    expect(message.split("\n")).toEqual([
      "No DynamoDB could be started.",
      "  dynamodb-local-java: /no/such/java/bin/java: not found",
      expect.stringMatching(/^ {4}to get it: install Java 17 or newer/),
      "  dynamodb-local-docker: no container runtime",
      "    to get it: install and start Docker",
    ])
    expect(await engineAvailability("dynamodb-local", env)).toMatchObject({
      available: false,
      reason: "/no/such/java/bin/java: not found; no container runtime",
    })
  })

  it("refuses an unknown engine and an impossible port by name", async () => {
    await expect(startDynamoDB({ env: { DYNAMODB_ENGINE: "oracle" } })).rejects.toThrow(
      'DYNAMODB_ENGINE: there is no engine "oracle"',
    )
    await expect(startDynamoDB({ engine: "dynoxide", port: 70_000 })).rejects.toThrow(
      "port: expected a whole number from 1 to 65535, got 70000",
    )
  })

  it("says plainly that the port asked for is taken", async () => {
    const server = await answeringServer()
    closeServer = server.close
    await expect(startDynamoDB({ env: {}, port: server.port })).rejects.toThrow(/^port \d+ is taken$/)
  })
})

describe("engineAvailability", () => {
  it("knows the embedded engine", async () => {
    expect(await engineAvailability("dynoxide")).toMatchObject({ available: true })
  })

  it("names the package for another platform, which is not installed", async () => {
    expect(await dynoxide("plan9", "mips").availability()).toEqual({
      available: false,
      reason: "the package @dynoxide/plan9-mips is not installed",
      remedy: "npm install --no-save @dynoxide/plan9-mips@1.2.1",
    })
  })

  it("says what is wrong with DYNAMODB_ENDPOINT", async () => {
    expect(await engineAvailability("endpoint", { DYNAMODB_ENDPOINT: "localhost" })).toMatchObject({
      available: false,
      reason: 'DYNAMODB_ENDPOINT is not a URL: "localhost"',
    })
  })
})
