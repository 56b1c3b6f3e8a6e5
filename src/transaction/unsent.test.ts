import { afterEach, expect, it, vi } from "vitest"
import { NOW, pass, useFakeClock } from "../test/fake-clock.fixture.ts"

useFakeClock()

const put = { Put: { TableName: "orders", Item: { id: "a" } } }

/** Each with a memory of its own: the same warning comes once. */
async function load() {
  vi.resetModules()
  const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
  return { emitWarning, ...(await import("./unsent.ts")) }
}

afterEach(() => {
  process.removeAllListeners("beforeExit")
})

it("warns a second after the end of a transaction that nobody has read", async () => {
  const { expectRead, emitWarning } = await load()
  expect(Date.now()).toBe(NOW)
  expectRead({ items: [put] })
  await pass(999)
  expect(emitWarning).not.toHaveBeenCalled()
  await pass(1)
  expect(emitWarning).toHaveBeenCalledExactlyOnceWith(
    expect.stringContaining("Pass { client } as the second argument"),
    {
      type: "OutboxWarning",
      code: "OUTBOX_TRANSACTION_NOT_SENT",
    },
  )
})

it("warns when the process ends before that, once", async () => {
  const { expectRead, emitWarning } = await load()
  expectRead({ items: [put] })
  expectRead({ items: [put] })
  process.emit("beforeExit", 0)
  expect(emitWarning).toHaveBeenCalledOnce()
  expect(vi.getTimerCount()).toBe(0)
  process.emit("beforeExit", 0)
  expect(emitWarning).toHaveBeenCalledOnce()
})

it("says nothing of what is read in time, or holds nothing", async () => {
  const { expectRead, wasRead, emitWarning } = await load()
  const transaction = { items: [put] }
  expectRead(transaction)
  expectRead(transaction)
  wasRead(transaction)
  expectRead({ items: [] })
  await pass(10_000)
  process.emit("beforeExit", 0)
  expect(emitWarning).not.toHaveBeenCalled()
})
