import type { TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import { ConfigurationError } from "outbox-event-bus"
import { describe, expect, it, vi } from "vitest"
import { useFakeClock } from "../test/fake-clock.fixture.ts"
import { named } from "../test/outbox.fixture.ts"
import type { TransactWriteItem } from "./collector.ts"
import { Commit, type CommitOptions } from "./commit.ts"
import { TransactionCanceledError, TransactionOutcomeUnknownError } from "./transaction-errors.ts"

useFakeClock()

const items: TransactWriteItem[] = [
  { Put: { TableName: "orders", Item: { id: "o1" } } },
  { Put: { TableName: "outbox", Item: { id: "e1" } } },
]
const eventIds = new Map([[items[1] as TransactWriteItem, "e1"]])

const canceled = (...codes: string[]) =>
  named("TransactionCanceledException", { CancellationReasons: codes.map((Code) => ({ Code })) })
const answered = (name: string, httpStatusCode: number) =>
  named(name, { $metadata: { httpStatusCode, attempts: 1 } })
const unreachable = () => Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })

const STORED = Symbol("stored")

/** @param outcomes - What becomes of each try: what it rejects with, or `STORED`; the last one of all further tries. */
function commit(outcomes: unknown[], options: Partial<CommitOptions> = {}) {
  const sent: TransactWriteCommand["input"][] = []
  const at: number[] = []
  const send = vi.fn(async (command: TransactWriteCommand) => {
    sent.push(command.input)
    at.push(performance.now())
    const outcome = outcomes[Math.min(sent.length, outcomes.length) - 1]
    if (outcome !== STORED) throw outcome
  })
  const sending = new Commit({ client: { send } as never, ...options }).send(items, eventIds)
  const settled = sending.then(
    () => "stored",
    (error: unknown) => error,
  )
  return { settled, sent, at }
}

async function settledOf({ settled }: ReturnType<typeof commit>): Promise<unknown> {
  await vi.advanceTimersByTimeAsync(120_000)
  return settled
}

describe("a commit", () => {
  it("sends all items in one request, with a token of its own", async () => {
    const one = commit([STORED])
    expect(await settledOf(one)).toBe("stored")
    expect(one.sent).toEqual([
      { TransactItems: items, ClientRequestToken: expect.stringMatching(/^[\w-]{36}$/) },
    ])
    const another = commit([STORED])
    await settledOf(another)
    expect(another.sent[0]?.ClientRequestToken).not.toBe(one.sent[0]?.ClientRequestToken)
  })

  it.each([
    ["a conflict", canceled("TransactionConflict", "None")],
    ["throttled items", canceled("ThrottlingError", "ProvisionedThroughputExceeded")],
    ["throttling", answered("ThrottlingException", 400)],
    ["a table's capacity", answered("ProvisionedThroughputExceededException", 400)],
    ["the account's", answered("RequestLimitExceeded", 400)],
    ["a try that is still under way", answered("TransactionInProgressException", 400)],
    ["an error inside of DynamoDB", answered("InternalServerError", 500)],
    ["a connection that is refused", unreachable()],
    ["a response that did not come", named("TimeoutError")],
    ["a request that was aborted", named("AbortError")],
    ["what the SDK has given up on", named("Error", { $metadata: { attempts: 3 } })],
    ["a body that broke off", named("Error", { $metadata: { httpStatusCode: 200, attempts: 1 } })],
    ["an intermediary's page", named("SyntaxError", { $metadata: { httpStatusCode: 404, attempts: 1 } })],
  ])("is retried with the same token and items after %s", async (_, error) => {
    const retried = commit([error, error, STORED], { clientRequestToken: "mine" })
    expect(await settledOf(retried)).toBe("stored")
    expect(retried.sent).toHaveLength(3)
    for (const input of retried.sent)
      expect(input).toEqual({ TransactItems: items, ClientRequestToken: "mine" })
  })

  it.each([
    [
      "a condition that failed",
      canceled("TransactionConflict", "ConditionalCheckFailed"),
      TransactionCanceledError,
    ],
    ["an item that is refused", canceled("ValidationError", "None"), TransactionCanceledError],
    ["a cancellation without reasons", named("TransactionCanceledException"), TransactionCanceledError],
  ])("is not retried after %s", async (_, error, errorClass) => {
    const refused = commit([error])
    expect(await settledOf(refused)).toBeInstanceOf(errorClass)
    expect(refused.sent).toHaveLength(1)
  })

  it.each([
    ["a wrong request", answered("ValidationException", 400)],
    ["no permission", answered("AccessDeniedException", 400)],
    ["another transaction's token", answered("IdempotentParameterMismatchException", 400)],
    ["no credentials", named("CredentialsProviderError", { $metadata: { attempts: 1 } })],
    ["an item that can't be marshalled", new Error("Pass options.removeUndefinedValues=true")],
    [
      "an error without a name of DynamoDB's",
      named("Odd", { $fault: "client", $metadata: { httpStatusCode: 400 } }),
    ],
    ["nothing at all", undefined],
    ["a text", "no"],
  ])("rejects with the error itself after %s", async (_, error) => {
    const refused = commit([error])
    expect(await settledOf(refused)).toBe(error)
    expect(refused.sent).toHaveLength(1)
  })

  it("says what the outbox table's key must be", async () => {
    const error = named("TransactionCanceledException", {
      CancellationReasons: [
        { Code: "None" },
        { Code: "ValidationError", Message: "The provided key element does not match the schema" },
      ],
    })
    expect(await settledOf(commit([error]))).toMatchObject({
      name: "ConfigurationError",
      message: expect.stringContaining('Table "outbox" can\'t be an outbox'),
    })
  })
})

describe("retries", () => {
  it("pause at random, longer each time, up to half a second", async () => {
    vi.spyOn(Math, "random").mockReturnValue(1)
    const { at, settled } = commit([...Array<Error>(9).fill(canceled("TransactionConflict")), STORED])
    await vi.advanceTimersByTimeAsync(10_000)
    expect(await settled).toBe("stored")
    const pauses = at.slice(1).map((time, i) => Math.round(time - (at[i] as number)))
    expect(pauses).toEqual([20, 40, 80, 160, 320, 500, 500, 500, 500])
  })

  it("end after ten seconds, or when the caller says", async () => {
    const byDefault = commit([canceled("TransactionConflict")])
    await settledOf(byDefault)
    expect((byDefault.at.at(-1) as number) - (byDefault.at[0] as number)).toBeGreaterThan(9000)
    expect((byDefault.at.at(-1) as number) - (byDefault.at[0] as number)).toBeLessThanOrEqual(10_000)
    const once = commit([canceled("TransactionConflict")], { retryForMs: 0 })
    expect(await settledOf(once)).toBeInstanceOf(TransactionCanceledError)
    expect(once.sent).toHaveLength(1)
  })

  it("end within the ten minutes for which DynamoDB remembers a token, whatever the caller says", async () => {
    const { at, settled } = commit([canceled("TransactionConflict")], {
      retryForMs: Number.POSITIVE_INFINITY,
    })
    await vi.advanceTimersByTimeAsync(9 * 60_000)
    expect(await settled).toBeInstanceOf(TransactionCanceledError)
    expect((at.at(-1) as number) - (at[0] as number)).toBeGreaterThan(8.9 * 60_000)
  })

  it("leave the outcome unknown if a response is missing that no later one makes up for", async () => {
    const throttled = answered("ThrottlingException", 400)
    for (const outcomes of [[unreachable()], [unreachable(), throttled], [throttled, unreachable()]]) {
      const error = await settledOf(commit(outcomes, { clientRequestToken: "mine", retryForMs: 300 }))
      expect(error).toBeInstanceOf(TransactionOutcomeUnknownError)
      expect(error).toMatchObject({ clientRequestToken: "mine" })
    }
  })

  it("leave it unknown, too, if a missing response is followed by a refusal of the request", async () => {
    for (const refusal of [
      answered("IdempotentParameterMismatchException", 400),
      answered("ExpiredTokenException", 400),
      named("CredentialsProviderError"),
    ]) {
      const error = await settledOf(commit([unreachable(), refusal]))
      expect(error).toBeInstanceOf(TransactionOutcomeUnknownError)
      expect(error).toMatchObject({ cause: refusal })
    }
    const taken = canceled("None", "ConditionalCheckFailed")
    expect(await settledOf(commit([unreachable(), taken]))).toBeInstanceOf(TransactionCanceledError)
  })

  it("end with a known outcome if DynamoDB cancels after a missing response: it knows the token", async () => {
    const conflict = canceled("TransactionConflict", "None")
    expect(await settledOf(commit([unreachable(), conflict], { retryForMs: 300 }))).toBeInstanceOf(
      TransactionCanceledError,
    )
    expect(
      await settledOf(commit([answered("ThrottlingException", 400)], { retryForMs: 300 })),
    ).toMatchObject({
      message: "DynamoDB did not accept the transaction within 300 ms (retryForMs); nothing of it is stored",
      cause: { name: "ThrottlingException" },
    })
  })

  it("do not wait for a response for longer than five seconds, or than is left", async () => {
    const signals: AbortSignal[] = []
    const client = {
      send: (_: unknown, { abortSignal }: { abortSignal: AbortSignal }) => {
        signals.push(abortSignal)
        return new Promise(() => {})
      },
    }
    const settled = new Commit({ client: client as never, retryForMs: 7000 })
      .send(items, eventIds)
      .catch((e) => e)
    await vi.advanceTimersByTimeAsync(5000)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
    await vi.advanceTimersByTimeAsync(2600)
    expect(await settled).toBeInstanceOf(TransactionOutcomeUnknownError)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
  })
})

it("blames no outbox table for another table's key", async () => {
  const error = named("TransactionCanceledException", {
    CancellationReasons: [{ Code: "ValidationError", Message: "Type mismatch for key id" }, { Code: "None" }],
  })
  expect(await settledOf(commit([error]))).toMatchObject({
    message: expect.stringContaining('write 0 (Put in "orders"): ValidationError: Type mismatch for key id'),
  })
})

describe("an option", () => {
  const client = { send: () => {} } as never
  it.each<[string, unknown]>([
    ["client", { client: {} }],
    ["client", { client: undefined }],
    ["clientRequestToken", { client, clientRequestToken: "" }],
    ["clientRequestToken", { client, clientRequestToken: "x".repeat(37) }],
    ["clientRequestToken", { client, clientRequestToken: 7 }],
    ["retryForMs", { client, retryForMs: -1 }],
    ["retryForMs", { client, retryForMs: Number.NaN }],
    ["retryForMs", { client, retryForMs: "1000" }],
  ])("%s that is not allowed is refused: %o", (name, options) => {
    expect(() => new Commit(options as CommitOptions)).toThrow(ConfigurationError)
    expect(() => new Commit(options as CommitOptions)).toThrow(`Invalid option ${name}: `)
  })

  it("may be at its bounds", () => {
    for (const options of [
      { clientRequestToken: "x" },
      { clientRequestToken: "x".repeat(36) },
      { retryForMs: 0 },
    ]) {
      expect(() => new Commit({ client, ...options })).not.toThrow()
    }
    expect(
      new Commit({ client, clientRequestToken: "mine", retryForMs: Number.POSITIVE_INFINITY }).hasOwnToken,
    ).toBe(true)
    expect(new Commit({ client }).hasOwnToken).toBe(false)
  })
})
