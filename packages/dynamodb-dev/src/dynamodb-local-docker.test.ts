import { readFileSync } from "node:fs"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { answeringServer } from "./answering-server.fixture.ts"
import { DYNAMODB_LOCAL_IMAGE, dynamodbLocalDocker } from "./dynamodb-local-docker.ts"

// No test needs Docker: what is asked of testcontainers is looked at.
const docker = vi.hoisted(() => ({
  getContainerRuntimeClient: vi.fn(),
  start: vi.fn(),
  stop: vi.fn(),
  calls: [] as [method: string, ...args: unknown[]][],
}))

vi.mock("testcontainers", () => {
  class GenericContainer {
    constructor(image: string) {
      docker.calls.push(["image", image])
      for (const method of [
        "withCommand",
        "withEnvironment",
        "withExposedPorts",
        "withWaitStrategy",
        "withStartupTimeout",
      ]) {
        Object.assign(this, {
          [method]: (...args: unknown[]) => {
            docker.calls.push([method, ...args])
            return this
          },
        })
      }
    }
    start = docker.start
  }
  return {
    GenericContainer,
    Wait: { forListeningPorts: () => "listening ports" },
    getContainerRuntimeClient: docker.getContainerRuntimeClient,
  }
})

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"

let server: Awaited<ReturnType<typeof answeringServer>>
beforeEach(async () => {
  vi.resetAllMocks()
  docker.calls.length = 0
  server = await answeringServer()
  docker.stop.mockResolvedValue(undefined)
  docker.start.mockResolvedValue({
    getHost: () => "127.0.0.1",
    getMappedPort: (port: number) => (port === 8000 ? server.port : 0),
    stop: docker.stop,
  })
})
afterEach(() => server.close())

describe("DynamoDB Local by Docker", () => {
  it("is available where a container engine answers", async () => {
    docker.getContainerRuntimeClient.mockResolvedValue({})
    expect(await dynamodbLocalDocker().availability()).toEqual({ available: true, how: DYNAMODB_LOCAL_IMAGE })
  })

  it("says why it isn't", async () => {
    docker.getContainerRuntimeClient.mockRejectedValue(new Error("no container runtime"))
    expect(await dynamodbLocalDocker().availability()).toEqual({
      available: false,
      reason: "no container runtime",
      remedy: "install and start Docker",
    })
  })

  it("doesn't wait for a container engine that hangs", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    try {
      docker.getContainerRuntimeClient.mockReturnValue(new Promise(() => {}))
      const availability = dynamodbLocalDocker().availability()
      await vi.waitFor(() => expect(docker.getContainerRuntimeClient).toHaveBeenCalled())
      await vi.advanceTimersByTimeAsync(10_000)
      expect(await availability).toMatchObject({ available: false, reason: "no response within 10000 ms" })
    } finally {
      vi.useRealTimers()
    }
  })

  it("runs the image in memory on a free port, and removes it once", async () => {
    const running = await dynamodbLocalDocker().start({ port: undefined, readyTimeoutMs: 5_000 })
    expect(running).toMatchObject({ engine: "dynamodb-local-docker", endpoint: server.endpoint })
    expect(docker.calls).toEqual([
      ["image", DYNAMODB_LOCAL_IMAGE],
      ["withCommand", ["-jar", "DynamoDBLocal.jar", "-inMemory", "-sharedDb"]],
      ["withEnvironment", { DDB_LOCAL_TELEMETRY: "0" }],
      ["withExposedPorts", 8000],
      ["withWaitStrategy", "listening ports"],
      ["withStartupTimeout", 5_000],
    ])
    await running.stop()
    await running.stop()
    expect(docker.stop).toHaveBeenCalledTimes(1)
  })

  it("publishes the port that was asked for", async () => {
    await dynamodbLocalDocker().start({ port: 8123, readyTimeoutMs: 5_000 })
    expect(docker.calls).toContainEqual(["withExposedPorts", { container: 8000, host: 8123 }])
  })

  it("removes a container that doesn't answer", async () => {
    server.close()
    await expect(dynamodbLocalDocker().start({ port: undefined, readyTimeoutMs: 100 })).rejects.toThrow(
      "nothing answered",
    )
    expect(docker.stop).toHaveBeenCalledTimes(1)
  })

  it("is the image of docker-compose.yml", () => {
    const compose = readFileSync(new URL("../../../docker-compose.yml", import.meta.url), "utf8")
    expect(compose).toContain(`image: ${DYNAMODB_LOCAL_IMAGE}\n`)
  })
})
