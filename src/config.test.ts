import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { ConfigurationError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { type DynamoDBAwsSdkOutboxConfig, resolveConfig } from "./config.ts"
import { getDynamoDBAwsSdkCollector } from "./transaction-storage.ts"

const client = { send: vi.fn() } as unknown as DynamoDBClient
const required = { client, tableName: "outbox" }

/** Plain JavaScript can pass anything. */
const resolve = (options: Record<string, unknown>) =>
  resolveConfig({ ...required, ...options } as DynamoDBAwsSdkOutboxConfig)

const refusal = (config: unknown): ConfigurationError => {
  try {
    resolveConfig(config as DynamoDBAwsSdkOutboxConfig)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError)
    return error as ConfigurationError
  }
  throw new Error("The config was accepted.")
}

const defaults = {
  statusIndexName: "status-gsiSortKey-index",
  batchSize: 50,
  concurrency: 1,
  maxRetries: 5,
  pollIntervalMs: 1000,
  baseBackoffMs: 1000,
  maxBackoffMs: 2_147_483_647,
  maxErrorBackoffMs: 30_000,
  processingTimeoutMs: 30_000,
  polling: true,
  completedEvents: { kind: "keep" },
}

it("fills in every default", () => {
  expect(resolveConfig(required)).toEqual({ ...required, ...defaults })
})

it.each([undefined, null])("reads an explicit %o as the default", (none) => {
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, none]))
  expect(resolve({ ...options, getCollector: none })).toEqual({ ...required, ...defaults })
})

it("takes every optional option as undefined, also where undefined is told from absent", () => {
  // Compiled with exactOptionalPropertyTypes.
  const config: DynamoDBAwsSdkOutboxConfig = {
    ...required,
    statusIndexName: undefined,
    batchSize: undefined,
    concurrency: undefined,
    maxRetries: undefined,
    pollIntervalMs: undefined,
    baseBackoffMs: undefined,
    maxBackoffMs: undefined,
    maxErrorBackoffMs: undefined,
    processingTimeoutMs: undefined,
    polling: undefined,
    completedEvents: undefined,
    getCollector: undefined,
  }
  expect(resolveConfig(config)).toEqual({ ...required, ...defaults })
})

it("keeps every value that is given", () => {
  const getCollector = () => undefined
  const options = {
    statusIndexName: "my-index",
    batchSize: 7,
    concurrency: 3,
    maxRetries: 2,
    pollIntervalMs: 11,
    baseBackoffMs: 12,
    maxBackoffMs: 15,
    maxErrorBackoffMs: 13,
    processingTimeoutMs: 14,
    polling: false,
    getCollector,
  }
  expect(resolve(options)).toEqual({ ...required, ...defaults, ...options })
})

describe("the limits of each number", () => {
  const MAX_DELAY = 2_147_483_647
  const { POSITIVE_INFINITY, NEGATIVE_INFINITY, NaN: NAN } = Number
  const milliseconds = {
    good: [0, 0.5, MAX_DELAY],
    capped: [MAX_DELAY, MAX_DELAY + 1, 1e15, POSITIVE_INFINITY],
    bad: [-1, NAN, NEGATIVE_INFINITY, "1000", {}, 5n],
    allowed: "a number of milliseconds of at least 0, or Infinity",
  }
  const limits: Record<string, { good: unknown[]; capped: number[]; bad: unknown[]; allowed: string }> = {
    batchSize: {
      good: [1, 1000],
      capped: [1000, 1001, 1_000_000, POSITIVE_INFINITY],
      bad: [0, -1, 1.5, NAN, "5", true, 5n],
      allowed: "a whole number of at least 1, or Infinity",
    },
    concurrency: {
      good: [1, 10_000],
      capped: [],
      bad: [0, -1, 10_001, 1.5, NAN, POSITIVE_INFINITY, "5", true, 5n],
      allowed: "a whole number from 1 to 10000",
    },
    maxRetries: {
      good: [0, 1, 1000, POSITIVE_INFINITY],
      capped: [],
      bad: [-1, 0.5, NAN, NEGATIVE_INFINITY, "3", []],
      allowed: "a whole number of at least 0, or Infinity",
    },
    pollIntervalMs: milliseconds,
    baseBackoffMs: milliseconds,
    maxBackoffMs: milliseconds,
    maxErrorBackoffMs: milliseconds,
    processingTimeoutMs: {
      good: [0.5, 1, MAX_DELAY],
      capped: [MAX_DELAY, MAX_DELAY + 1, 1e15],
      bad: [0, -1, NAN, POSITIVE_INFINITY, NEGATIVE_INFINITY, "1000", {}],
      allowed: "a finite number of milliseconds above 0",
    },
  }
  const cases = (kind: "good" | "capped" | "bad") =>
    Object.entries(limits).flatMap(([option, limit]) =>
      limit[kind].map((value) => [option, value, limit.allowed] as const),
    )

  it.each(cases("good"))("accepts %s = %o", (option, value) => {
    expect(resolve({ [option]: value })).toHaveProperty(option, value)
  })

  it.each(cases("capped"))("counts %s = %o as the most that is useful", (option, value) => {
    expect(resolve({ [option]: value })).toHaveProperty(option, limits[option]?.capped[0])
  })

  it.each(cases("bad"))(
    "refuses %s = %o, naming option, value and what is allowed",
    (option, value, allowed) => {
      const shown =
        typeof value === "string"
          ? JSON.stringify(value)
          : typeof value === "object" && value !== null
            ? "an object"
            : String(value)
      expect(refusal({ ...required, [option]: value }).message).toBe(
        `Invalid option ${option}: ${shown}. Allowed: ${allowed}.`,
      )
    },
  )
})

describe("names", () => {
  it.each([
    ["tableName", "orders.outbox_2-x"],
    ["tableName", "arn:aws:dynamodb:eu-west-1:123456789012:table/outbox"],
    ["statusIndexName", "a.b_c-D9"],
  ])("accepts %s = %o", (option, value) => {
    expect(resolve({ [option]: value })).toHaveProperty(option, value)
  })

  const bad = ["", " ", "out box", "outbox\n", "täble", 7, {}, Symbol("name")]

  it.each(["tableName", "statusIndexName"])("refuses a %s that can't be one", (option) => {
    for (const value of bad) {
      const { message } = refusal({ ...required, [option]: value })
      expect(message).toContain(`Invalid option ${option}: `)
      expect(message).toContain("Allowed: a non-empty name of letters, digits, '_', '-' and '.'")
    }
  })

  it.each([{}, { tableName: undefined }, { tableName: null }])(
    "lets %o be resolved, and refuses the table by its name when it is read",
    (options) => {
      const resolved = resolveConfig({ client, ...options } as DynamoDBAwsSdkOutboxConfig)
      expect(resolved).toMatchObject(defaults)
      expect(() => resolved.tableName).toThrow(ConfigurationError)
      expect(() => resolved.tableName).toThrow(
        "Invalid option tableName: undefined. Allowed: a non-empty name",
      )
    },
  )
})

describe("getCollector", () => {
  it("given without calling it is refused with what to write instead", () => {
    expect(refusal({ ...required, getCollector: getDynamoDBAwsSdkCollector }).message).toBe(
      "Invalid option getCollector: getDynamoDBAwsSdkCollector itself. " +
        "Call it: getCollector: getDynamoDBAwsSdkCollector().",
    )
  })
})

it("leases below one second cause one process warning, whatever their lengths", async () => {
  vi.resetModules()
  const { resolveConfig } = await import("./config.ts")
  const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
  for (const processingTimeoutMs of [1000, 999.5, 999.5, 100]) {
    resolveConfig({ ...required, processingTimeoutMs })
  }
  expect(emitWarning.mock.calls).toEqual([
    [
      expect.stringMatching(/^processingTimeoutMs: 999\.5 .* less than 1000 in tests only\.$/),
      { type: "OutboxWarning", code: "OUTBOX_SHORT_PROCESSING_TIMEOUT" },
    ],
  ])
  emitWarning.mockRestore()
})

describe("an option that does not exist", () => {
  it("causes one process warning that names it, and nothing else", () => {
    const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
    for (let i = 0; i < 2; i++) {
      expect(resolve({ maxRetry: 3, "log\nline": 1 })).toEqual({ ...required, ...defaults })
    }
    expect(emitWarning.mock.calls).toEqual([
      [
        expect.stringMatching(/^DynamoDBAwsSdkOutbox has no option "maxRetry"; it is ignored\. .*maxRetries/),
        { type: "OutboxWarning", code: "OUTBOX_UNKNOWN_OPTION" },
      ],
      [expect.stringContaining('has no option "log\\nline"'), expect.anything()],
    ])
    emitWarning.mockRestore()
  })
})

describe("completedEvents", () => {
  it.each([
    ["keep", { kind: "keep" }],
    ["delete", { kind: "delete" }],
    [{ expireAfterDays: 30 }, { kind: "expire", afterMs: 30 * 86_400_000, attribute: "expiresAt" }],
    [
      { expireAfterDays: 0.5, attribute: "ttl" },
      { kind: "expire", afterMs: 43_200_000, attribute: "ttl" },
    ],
    [
      { expireAfterDays: 36_500, attribute: undefined },
      { kind: "expire", attribute: "expiresAt" },
    ],
  ])("accepts %o", (completedEvents, expected) => {
    expect(resolve({ completedEvents })).toMatchObject({ completedEvents: expected })
  })

  it.each([
    ["completedEvents", "remove"],
    ["completedEvents", true],
    ["completedEvents.expireAfterDays", {}],
    ["completedEvents.expireAfterDays", { expireAfterDays: 0 }],
    ["completedEvents.expireAfterDays", { expireAfterDays: 40_000 }],
    ["completedEvents.expireAfterDays", { expireAfterDays: Number.NaN }],
    ["completedEvents.expireAfterDays", { expireAfterDays: "30" }],
    ["completedEvents.attribute", { expireAfterDays: 1, attribute: "" }],
    ["completedEvents.attribute", { expireAfterDays: 1, attribute: "gsiSortKey" }],
    ["completedEvents.attribute", { expireAfterDays: 1, attribute: "status" }],
    ["completedEvents.attribute", { expireAfterDays: 1, attribute: 7 }],
  ])("refuses with the name %s: %o", (name, completedEvents) => {
    expect(refusal({ ...required, completedEvents }).message).toMatch(`Invalid option ${name}: `)
  })
})

describe("the rest", () => {
  it.each(["false", 0, {}])("refuses %o for polling", (value) => {
    expect(refusal({ ...required, polling: value }).message).toMatch(
      /^Invalid option polling: .*Allowed: true or false\.$/,
    )
  })

  it.each([[undefined], [null], ["outbox"]])("refuses %o for a config", (config) => {
    expect(refusal(config).message).toMatch(
      /^Invalid option config: .*Allowed: an object with at least client and tableName\.$/,
    )
  })

  it.each([[undefined], [null], ["client"], [7]])("refuses %o for a client", (value) => {
    expect(refusal({ ...required, client: value }).message).toMatch(
      /^Invalid option client: .*Allowed: a DynamoDBClient\.$/,
    )
  })

  it.each([[[]], ["getCollector"]])("refuses %o for getCollector", (value) => {
    expect(refusal({ ...required, getCollector: value }).message).toMatch(
      /^Invalid option getCollector: .*Allowed: a function that returns a collector or undefined\.$/,
    )
  })
})
