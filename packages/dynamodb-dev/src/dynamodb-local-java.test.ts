import { ListTablesCommand } from "@aws-sdk/client-dynamodb"
import { describe, expect, it } from "vitest"
import { clientFor } from "./client.ts"
import { dynamodbLocalJava, javaMajorVersion } from "./dynamodb-local-java.ts"
import { isRunning } from "./process-state.fixture.ts"

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"

const here = await dynamodbLocalJava().availability()

describe("DynamoDB Local by Java", () => {
  it.each([
    ['openjdk version "17.0.15" 2025-04-15', 17],
    ['java version "1.8.0_422"', 8],
    ['openjdk version "25" 2025-09-16', 25],
    ["The operation couldn't be completed.", undefined],
  ])("reads the version in %s", (printed, version) => {
    expect(javaMajorVersion(printed)).toBe(version)
  })

  it("says that there is no Java, and how to get one", async () => {
    const availability = await dynamodbLocalJava({ JAVA_HOME: "/no/such/java" }).availability()
    expect(availability).toMatchObject({
      available: false,
      reason: "/no/such/java/bin/java: not found",
      remedy: expect.stringContaining("install Java 17 or newer"),
    })
  })

  it.skipIf(!here.available)("starts, answers and ends", { timeout: 30_000 }, async () => {
    const running = await dynamodbLocalJava().start({ port: undefined, readyTimeoutMs: 30_000 })
    const client = clientFor(running.endpoint)
    expect((await client.send(new ListTablesCommand({}))).TableNames).toEqual([])
    client.destroy()
    await running.stop()
    expect(isRunning(running.pid ?? 0)).toBe(false)
  })
})
