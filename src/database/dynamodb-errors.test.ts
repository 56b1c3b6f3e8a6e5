import { ConfigurationError } from "outbox-event-bus"
import { describe, expect, it } from "vitest"
import { wrongTable } from "./dynamodb-errors.ts"

const named = (name: string, message: string, more = {}) => Object.assign(new Error(message), { name }, more)
const cancelled = (Code: string, Message: string) =>
  named("TransactionCanceledException", "Transaction cancelled", {
    CancellationReasons: [{ Code: "None" }, { Code, Message }],
  })

describe("a table with another primary key", () => {
  it.each([
    named("ValidationException", "The provided key element does not match the schema"),
    named("ValidationException", "The number of conditions on the keys is invalid"),
    named("ValidationException", "One of the required keys was not given a value"),
    named("ValidationException", "One or more parameter values were invalid: Missing the key pk in the item"),
    cancelled("ValidationError", "One or more parameter values were invalid: Missing the key sk in the item"),
    cancelled(
      "ValidationError",
      "One or more parameter values were invalid: Type mismatch for key id expected: N actual: S",
    ),
  ])("is named, with what it must be: %o", (error) => {
    const wrong = wrongTable(error, "orders")
    expect(wrong).toBeInstanceOf(ConfigurationError)
    expect(wrong?.message).toMatch(/^Table "orders" can't be an outbox: .*"id" alone/)
    expect(wrong?.cause).toBe(error)
  })
})

it.each([
  named("ValidationException", "The table does not have the specified index: status-gsiSortKey-index"),
  named("ValidationException", "Item size has exceeded the maximum allowed size"),
  named(
    "ValidationException",
    "One or more parameter values were invalid: Type mismatch for key status expected: N actual: S IndexName: status-gsiSortKey-index",
  ),
  named("Error", "The provided key element does not match the schema"),
  cancelled("ConditionalCheckFailed", "The conditional request failed"),
  new Error("Missing the key to the office"),
  undefined,
])("other errors are left alone: %o", (error) => {
  expect(wrongTable(error, "orders")).toBeUndefined()
})
