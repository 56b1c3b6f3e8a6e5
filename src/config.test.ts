import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { ConfigurationError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { type DynamoDBAwsSdkOutboxConfig, resolveConfig } from "./config.ts"

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
  maxErrorBackoffMs: 30_000,
  processingTimeoutMs: 30_000,
}

it("fills in every default", () => {
  expect(resolveConfig(required)).toEqual({ ...required, ...defaults })
})

it("reads an explicit undefined as the default", () => {
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, undefined]))
  expect(resolve({ ...options, getCollector: undefined })).toEqual({ ...required, ...defaults })
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
    maxErrorBackoffMs: 13,
    processingTimeoutMs: 14,
    getCollector,
  }
  expect(resolve(options)).toEqual({ ...required, ...options })
})

describe("the limits of each number", () => {
  const MAX_DELAY = 2_147_483_647
  const wholeFrom1To = (maximum: number) => ({
    good: [1, maximum],
    bad: [0, -1, maximum + 1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "5", null, true, 5n],
    allowed: `a whole number from 1 to ${maximum}`,
  })
  const millisecondsFrom = (minimum: number) => ({
    good: [minimum, minimum + 0.5, MAX_DELAY],
    bad: [
      minimum - 1,
      MAX_DELAY + 1,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      "1000",
      null,
      {},
    ],
    allowed: `a number of milliseconds from ${minimum} to ${MAX_DELAY}`,
  })
  const limits: Record<string, { good: unknown[]; bad: unknown[]; allowed: string }> = {
    batchSize: wholeFrom1To(1000),
    concurrency: wholeFrom1To(10_000),
    maxRetries: {
      good: [0, 1, 1000, Number.POSITIVE_INFINITY],
      bad: [-1, 0.5, Number.NaN, Number.NEGATIVE_INFINITY, "3", null, []],
      allowed: "a whole number of at least 0, or Infinity",
    },
    pollIntervalMs: millisecondsFrom(0),
    baseBackoffMs: millisecondsFrom(0),
    maxErrorBackoffMs: millisecondsFrom(0),
    processingTimeoutMs: millisecondsFrom(1),
  }
  const cases = (kind: "good" | "bad") =>
    Object.entries(limits).flatMap(([option, limit]) =>
      limit[kind].map((value) => [option, value, limit.allowed] as const),
    )

  it.each(cases("good"))("accepts %s = %o", (option, value) => {
    expect(resolve({ [option]: value })).toHaveProperty(option, value)
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

  const bad = ["", " ", "out box", "outbox\n", "täble", 7, null, {}, Symbol("name")]

  it.each(["tableName", "statusIndexName"])("refuses a %s that can't be one", (option) => {
    for (const value of bad) {
      const { message } = refusal({ ...required, [option]: value })
      expect(message).toContain(`Invalid option ${option}: `)
      expect(message).toContain("Allowed: a non-empty name of letters, digits, '_', '-' and '.'")
    }
  })

  it("refuses an absent table name", () => {
    expect(refusal({ client }).message).toContain("Invalid option tableName: undefined. Allowed: ")
  })
})

describe("the rest", () => {
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

  it.each([[null], [[]], ["getCollector"]])("refuses %o for getCollector", (value) => {
    expect(refusal({ ...required, getCollector: value }).message).toMatch(
      /^Invalid option getCollector: .*Allowed: a function that returns a collector or undefined\.$/,
    )
  })
})
