import { afterEach, describe, expect, it } from "vitest"
import { answeringServer, type Behaviour } from "./answering-server.fixture.ts"
import { untilAnswering } from "./readiness.ts"

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"

let close = () => {}
afterEach(() => close())

async function serverThat(behaviour: Behaviour) {
  const server = await answeringServer(behaviour)
  close = server.close
  return server
}

describe("untilAnswering", () => {
  it("goes on asking until the API answers", async () => {
    const server = await serverThat((request) => (request < 3 ? "refuse" : "answer"))
    await untilAnswering(server.endpoint, { timeoutMs: 5_000 })
    expect(server.requests()).toBe(3)
  })

  it("gives up in time, and says what the last answer was", async () => {
    const server = await serverThat(() => "refuse")
    await expect(untilAnswering(server.endpoint, { timeoutMs: 100 })).rejects.toThrow(
      `nothing answered ListTables at ${server.endpoint} within 100 ms: not yet`,
    )
  })

  it("doesn't wait for an answer that never comes", async () => {
    const server = await serverThat(() => "silence")
    await expect(untilAnswering(server.endpoint, { timeoutMs: 100 })).rejects.toThrow("nothing answered")
  })

  it("doesn't ask before it may", async () => {
    const server = await serverThat(() => "answer")
    let looks = 0
    await untilAnswering(server.endpoint, { timeoutMs: 5_000, mayAsk: () => ++looks === 3 })
    expect(server.requests()).toBe(1)
  })
})
