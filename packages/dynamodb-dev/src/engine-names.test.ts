import { describe, expect, it } from "vitest"
import { ENGINE_NAMES, enginesBehind, parseEngineName } from "./engine-names.ts"

describe("engine names", () => {
  it("reads every name", () => {
    for (const name of ENGINE_NAMES) expect(parseEngineName(name, "--engine")).toBe(name)
  })

  it("refuses an unknown name by its source and lists those there are", () => {
    expect(() => parseEngineName("dynalite", "DYNAMODB_ENGINE")).toThrow(
      'DYNAMODB_ENGINE: there is no engine "dynalite". Engines: endpoint, dynoxide, dynamodb-local-java, dynamodb-local-docker, dynamodb-local.',
    )
  })

  it("takes Java before Docker for DynamoDB Local", () => {
    expect(enginesBehind("dynamodb-local")).toEqual(["dynamodb-local-java", "dynamodb-local-docker"])
    expect(enginesBehind("dynoxide")).toEqual(["dynoxide"])
  })
})
