import { describe, expect, it, vi } from "vitest"
import { failedAttempt, retryDelay, unreadableAttempt } from "./attempt.ts"

const now = 1_700_000_000_000
const occurredAt = new Date(now - 60_000)
const failure = { error: new Error("boom"), retryCount: 0, dueAt: now - 1000, occurredAt }
const backoff = (attempt: number) => 1000 * 2 ** (attempt - 1)

describe("a failed attempt", () => {
  it.each([
    [0, 1, 1000],
    [1, 2, 2000],
    [3, 4, 8000],
  ])("after %i others is retried after the backoff of attempt %i", (retryCount, attempts, delay) => {
    expect(failedAttempt({ ...failure, retryCount }, 5, backoff, now)).toEqual({
      status: "created",
      retryCount: attempts,
      error: "boom",
      gsiSortKey: now + delay,
    })
  })

  it("is the last one when the handler has run maxRetries times", () => {
    expect(failedAttempt({ ...failure, retryCount: 4 }, 5, backoff, now)).toEqual({
      status: "failed",
      retryCount: 5,
      error: "boom",
      gsiSortKey: occurredAt.getTime(),
    })
  })

  it.each([0, 1])("is the last one at once with maxRetries %i", (maxRetries) => {
    expect(failedAttempt(failure, maxRetries, backoff, now)).toMatchObject({
      status: "failed",
      retryCount: 1,
    })
  })

  it("is the last one when others had a larger maxRetries", () => {
    expect(failedAttempt({ ...failure, retryCount: 9 }, 5, backoff, now)).toMatchObject({
      status: "failed",
      retryCount: 10,
    })
  })

  it("is never the last one with maxRetries Infinity, and the backoff stops growing", () => {
    const attempt = failedAttempt({ ...failure, retryCount: 5000 }, Number.POSITIVE_INFINITY, backoff, now)
    expect(attempt).toMatchObject({ status: "created", retryCount: 5001, gsiSortKey: now + 2 ** 31 - 1 })
  })

  it("is due at once without a backoff, however often it failed: 0 · Infinity is no number", () => {
    const none = (attempt: number) => Math.floor(0 * 2 ** (attempt - 1))
    const attempt = failedAttempt({ ...failure, retryCount: 1024 }, Number.POSITIVE_INFINITY, none, now)
    expect(attempt.gsiSortKey).toBe(now)
  })

  it("is due later than it was, so that the index row is another", () => {
    expect(failedAttempt({ ...failure, dueAt: now + 50 }, 5, () => 0, now).gsiSortKey).toBe(now + 51)
  })

  it.each([
    ["text", "text"],
    [undefined, "undefined"],
    [Object.create(null), "[Object: null prototype] {}"],
    [new Error(""), "Error without a message"],
  ])("keeps what was thrown: %o", (error, message) => {
    expect(failedAttempt({ ...failure, error }, 5, backoff, now).error).toBe(message)
  })

  it("cuts a long message, since the item may have little room left", () => {
    const { error } = failedAttempt({ ...failure, error: new Error("ä".repeat(2000)) }, 5, backoff, now)
    expect(error).toBe(`${"ä".repeat(748)}…`)
    expect(
      failedAttempt({ ...failure, error: new Error("x".repeat(1500)) }, 5, backoff, now).error,
    ).toHaveLength(1500)
  })

  it("has a message that DynamoDB can hold, also where it is cut within a character", () => {
    const { error } = failedAttempt({ ...failure, error: new Error(`x${"ä".repeat(2000)}`) }, 5, backoff, now)
    expect(error.startsWith("xäää")).toBe(true)
    expect(Buffer.byteLength(error)).toBeLessThanOrEqual(1500)
    expect(Buffer.from(error).toString()).toBe(error)
  })
})

describe("an unreadable item", () => {
  it("becomes a dead letter at once, without counting an attempt", () => {
    const item = { id: "e1", occurredAt: occurredAt.toISOString(), retryCount: 2 }
    expect(unreadableAttempt(item, new Error("type is missing"))).toEqual({
      status: "failed",
      retryCount: 2,
      error: "type is missing",
      gsiSortKey: occurredAt.getTime(),
    })
  })

  it("is found under the time the index had it, if its own can't be read", () => {
    expect(unreadableAttempt({ id: "e1", gsiSortKey: 77 }, new Error("x"))).toMatchObject({
      gsiSortKey: 77,
      retryCount: 0,
    })
  })
})

describe("the delay before a retry", () => {
  it.each([
    [0, [900, 1800, 3600]],
    [0.5, [1000, 2000, 4000]],
    [0.999999, [1099, 2199, 4399]],
  ])("doubles, give or take 10 %% (random %f)", (random, delays) => {
    vi.spyOn(Math, "random").mockReturnValue(random)
    expect([1, 2, 3].map((attempt) => retryDelay(1000, attempt))).toEqual(delays)
    vi.restoreAllMocks()
  })
})
