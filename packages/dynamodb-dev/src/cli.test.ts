import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { ListTablesCommand } from "@aws-sdk/client-dynamodb"
import { afterAll, describe, expect, it } from "vitest"
import { clientFor } from "./client.ts"

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"

const CLI = fileURLToPath(new URL("./cli.ts", import.meta.url))

const children: ChildProcess[] = []
afterAll(() => {
  for (const child of children) child.kill("SIGKILL")
})

/** The command alone, without npm's shell around it. */
const ALONE = [process.execPath, "--import", "tsx", CLI]

/** The command in a shell, as npm runs it. */
const IN_A_SHELL = ["sh", "-c", '"$@" & wait', "sh", ...ALONE]

function run(args: string[], [file = "", ...before] = ALONE) {
  const { DYNAMODB_ENGINE: _engine, DYNAMODB_ENDPOINT: _endpoint, ...env } = process.env
  const started = spawn(file, [...before, ...args], { env: { ...env, npm_lifecycle_event: "dynamodb" } })
  children.push(started)
  const output = { stdout: "", stderr: "" }
  for (const name of ["stdout", "stderr"] as const) {
    started[name].on("data", (text) => {
      output[name] += text
    })
  }
  return { child: started, output, closed: once(started, "close") }
}

describe.concurrent("npm run dynamodb", { timeout: 30_000 }, () => {
  it("starts a DynamoDB, says how to use it, and ends cleanly at Ctrl-C", async () => {
    const { child, output, closed } = run(["--engine", "dynoxide"])
    while (!output.stdout.includes("Ctrl-C ends it")) await once(child.stdout, "data")
    const endpoint = /answers at (\S+)/.exec(output.stdout)?.[1] ?? ""
    expect(output.stdout).toContain(`aws dynamodb list-tables --endpoint-url ${endpoint} --region us-east-1`)
    expect(output.stdout).toContain(`export DYNAMODB_ENDPOINT=${endpoint}`)

    const client = clientFor(endpoint, { maxAttempts: 1 })
    expect((await client.send(new ListTablesCommand({}))).TableNames).toEqual([])

    child.kill("SIGINT")
    expect(await closed).toEqual([0, null])
    expect(output).toMatchObject({ stdout: expect.stringContaining("DynamoDB ended."), stderr: "" })
    await expect(client.send(new ListTablesCommand({}))).rejects.toThrow("ECONNREFUSED")
    client.destroy()
  })

  it("ends when the shell that npm started it in is gone", async () => {
    const { child, output, closed } = run(["--engine", "dynoxide"], IN_A_SHELL)
    while (!output.stdout.includes("Ctrl-C ends it")) await once(child.stdout, "data")
    child.kill("SIGKILL")
    expect(await closed).toEqual([null, "SIGKILL"])
    expect(output.stdout).toContain("DynamoDB ended.")
  })

  it.each([
    { args: ["--engine", "oracle"], says: '--engine: there is no engine "oracle"', code: 2 },
    {
      args: ["--port", "http"],
      says: '--port: expected a whole number from 1 to 65535, got "http"',
      code: 2,
    },
    { args: ["--prot", "1"], says: "Unknown option '--prot'", code: 2 },
    { args: ["--engine", "endpoint"], says: "DYNAMODB_ENDPOINT is not set", code: 1 },
  ])("says what is wrong with $args", async ({ args, says, code }) => {
    const { output, closed } = run(args)
    expect(await closed).toEqual([code, null])
    expect(output.stderr).toContain(says)
    expect(output.stderr).not.toContain("    at ")
  })
})
