import { ConfigurationError } from "outbox-event-bus"
import { expect, it, vi } from "vitest"
import { named } from "../test/outbox.fixture.ts"
import { outboxTableDefinition } from "./table-definition.ts"
import { TableDoctor } from "./table-doctor.ts"

const good = { Table: { ...outboxTableDefinition({ tableName: "outbox" }), TableStatus: "ACTIVE" } }
const noIndex = { Table: { ...good.Table, GlobalSecondaryIndexes: undefined } }
const missing = named("ResourceNotFoundException")
const invalid = named("ValidationException")

function doctorFor(describe: () => unknown) {
  const send = vi.fn(async () => describe())
  const index = { tableName: "outbox", statusIndexName: "status-gsiSortKey-index" }
  return { doctor: new TableDoctor({ send } as never, index), send }
}

it("says what is wrong, with the same error each time, from one description", async () => {
  const { doctor, send } = doctorFor(() => noIndex)
  const first = await doctor.explained(invalid)
  expect(first).toBeInstanceOf(ConfigurationError)
  expect(first).toMatchObject({
    message: expect.stringMatching(/^Table "outbox" has no index .* To fix it: aws dynamodb update-table/),
    cause: invalid,
  })
  expect(await doctor.explained(missing)).toBe(first)
  expect(send).toHaveBeenCalledOnce()
})

it("looks again once the table could be read meanwhile", async () => {
  const { doctor, send } = doctorFor(() => noIndex)
  const first = await doctor.explained(invalid)
  doctor.isWell()
  expect(await doctor.explained(invalid)).not.toBe(first)
  expect(send).toHaveBeenCalledTimes(2)
})

it("asks nothing for errors that have other causes", async () => {
  const { doctor, send } = doctorFor(() => noIndex)
  const error = named("ProvisionedThroughputExceededException")
  expect(await doctor.explained(error)).toBe(error)
  expect(send).not.toHaveBeenCalled()
})

it.each<[string, () => unknown]>([
  ["the permission is missing", () => Promise.reject(named("AccessDeniedException"))],
  ["the table is as it should be", () => good],
  ["nothing is known, as from a mocked client", () => undefined],
])("passes the error on where %s", async (_, describe) => {
  const { doctor, send } = doctorFor(describe)
  expect(await doctor.explained(invalid)).toBe(invalid)
  expect(await doctor.explained(invalid)).toBe(invalid)
  expect(send).toHaveBeenCalledOnce()
})

it("says that there is no table", async () => {
  const { doctor } = doctorFor(() => Promise.reject(missing))
  expect(await doctor.explained(missing)).toMatchObject({
    message: expect.stringMatching(/^There is no table "outbox"/),
  })
})
