/** drain() and deliver() of the class, on a mocked client. */
import { OperationalError, ValidationError } from "outbox-event-bus"
import { describe, expect, it, onTestFinished, vi } from "vitest"
import { deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import { dynamodbAwsSdkTransactionStorage } from "../transaction-storage.ts"
import { NOW, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, holding, item, refused } from "./outbox.fixture.ts"

useFakeClock()

const without = (answers: Parameters<typeof createOutbox>[0] = {}) =>
  createOutbox(answers, { polling: false })

describe("an outbox without polling", () => {
  it("sends nothing when it is started, or woken", async () => {
    const { outbox, start, send } = without(holding(item("a")))
    start()
    outbox.wake()
    await pass(60_000)
    expect(send).not.toHaveBeenCalled()
    expect(vi.getTimerCount()).toBe(0)
  })

  it("drains: the requests of a poll, and no more", async () => {
    const { outbox, start, steps, handled } = without(holding(item("a"), item("b")))
    start()
    start()
    expect(await outbox.drain()).toEqual({
      delivered: 2,
      retried: 0,
      deadLettered: 0,
      released: 0,
      reason: "empty",
    })
    expect(handled).toEqual(["a", "b"])
    expect(steps()).toEqual(["stuck", "due", "claim", "claim", "complete", "complete", "due"])
  })

  it("asks only for what has been due for a while, where it is to", async () => {
    const { outbox, start, inputsOf } = without()
    start()
    await outbox.drain({ dueForMs: 10_000 })
    await outbox.drain()
    expect(inputsOf("due").map(({ ExpressionAttributeValues: values }) => values[":now"])).toEqual([
      NOW - 10_000,
      NOW,
    ])
    for (const dueForMs of [-1, Number.NaN, "10" as never]) {
      await expect(outbox.drain({ dueForMs })).rejects.toThrow("Invalid dueForMs: ")
    }
  })

  it("counts a failure by what is written of it, and nothing where nothing is", async () => {
    const items = [item("retried"), item("dead", { retryCount: 4 }), item("taken over")]
    const { outbox, start, onEvent, errors } = without({
      ...holding(...items),
      fail: ({ Key }) => {
        if (Key.id === "taken over") throw refused()
      },
    })
    onEvent(async () => {
      throw new Error("no")
    })
    start()
    expect(await outbox.drain()).toMatchObject({ delivered: 0, retried: 1, deadLettered: 1, released: 0 })
    expect(errors).toHaveLength(3)
  })

  it("delivers given events, each once, without reading", async () => {
    const { outbox, start, steps, handled } = without(holding(item("a"), item("b")))
    start()
    expect(await outbox.deliver(["b", "a", "b"])).toMatchObject({ delivered: 2, unclaimed: [] })
    expect(handled).toEqual(["b", "a"])
    expect(steps()).toEqual(["claim", "claim", "complete", "complete"])
    expect(await outbox.deliver([])).toMatchObject({ delivered: 0, reason: "empty" })
    for (const ids of ["a", [""], [7]]) {
      await expect(outbox.deliver(ids as never)).rejects.toThrow(ValidationError)
    }
  })

  it("runs handlers in no transaction, wherever it is called", async () => {
    const { outbox, start, onEvent } = without(holding(item("a")))
    const seen: unknown[] = []
    onEvent(async () => void seen.push(dynamodbAwsSdkTransactionStorage.getStore()))
    start()
    await dynamodbAwsSdkTransactionStorage.run({ push: () => {} }, () => outbox.drain())
    expect(seen).toEqual([undefined])
  })

  it("needs handlers, until it is stopped, and again afterwards", async () => {
    const { outbox, start } = without()
    await expect(outbox.drain()).rejects.toThrow(OperationalError)
    start()
    await outbox.drain()
    await outbox.stop()
    await expect(outbox.deliver(["a"])).rejects.toThrow("There are no handlers to deliver to")
    start()
    expect(await outbox.drain()).toMatchObject({ reason: "empty" })
  })

  it("stops what runs: waits for handlers, and a drain that is called meanwhile waits for that", async () => {
    const { outbox, start, onEvent } = without(holding(item("a"), item("b")))
    const gate = deferred()
    onEvent(() => gate.promise)
    start()
    const drain = outbox.drain()
    await pass(10)
    const stops = Promise.all([outbox.stop(), outbox.stop()])
    start()
    let isDrained = false
    const next = outbox.drain({ maxEvents: 1 }).then((result) => {
      isDrained = true
      return result
    })
    await pass(100)
    expect(isDrained).toBe(false)
    gate.resolve()
    await stops
    expect(await drain).toMatchObject({ delivered: 1, released: 1, reason: "aborted" })
    expect(await next).toMatchObject({ reason: "empty" })
  })

  it("is found by a stop that is called in the same turn", async () => {
    const { outbox, start, handled } = without(holding(item("a")))
    start()
    const drain = outbox.drain()
    await outbox.stop()
    expect(await drain).toMatchObject({ reason: "aborted" })
    expect(handled).toEqual([])
  })

  it("does not begin after a second stop, which came while it waited for the first", async () => {
    const { outbox, start, onEvent, handled } = without(holding(item("a"), item("b")))
    const gate = deferred()
    onEvent(() => gate.promise)
    start()
    void outbox.drain()
    await pass(10)
    const first = outbox.stop()
    start()
    const refused = expect(outbox.drain()).rejects.toThrow("There are no handlers to deliver to")
    const second = outbox.stop()
    gate.resolve()
    await Promise.all([first, second, refused])
    expect(handled).toEqual(["a"])
  })

  it("counts a success though its completion is refused: a lost response, or somebody else's", async () => {
    const { outbox, start } = without({
      ...holding(item("a")),
      complete: () => {
        throw refused()
      },
    })
    start()
    expect(await outbox.drain()).toMatchObject({ delivered: 1 })
  })

  it("can be stopped by its handler, which is not waited for, but not drained", async () => {
    const { outbox, start, onEvent } = without(holding(item("a"), item("b")))
    const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
    let nested: unknown
    onEvent(async () => {
      nested = await outbox.drain().catch((error: unknown) => error)
      await outbox.stop()
    })
    start()
    expect(await outbox.drain()).toMatchObject({ delivered: 1, reason: "aborted" })
    expect(nested).toMatchObject({ message: expect.stringContaining("it would wait for itself") })
    expect(emitWarning).toHaveBeenCalledOnce()
    await outbox.stop()
  })

  it("ends with a handler context that knows of the deadline, and writes its result after it", async () => {
    const { outbox, start, onEvent, steps } = without(holding(item("a")))
    const gate = deferred()
    onEvent(() => gate.promise)
    start()
    const drain = outbox.drain({ deadline: new Date(NOW + 1000) })
    await pass(1000)
    expect(await drain).toMatchObject({ delivered: 0, reason: "deadline" })
    expect(steps()).not.toContain("complete")
    gate.resolve()
    await pass(0)
    expect(steps()).toContain("complete")
  })
})

it("an outbox with polling has no drain", async () => {
  const { outbox } = createOutbox()
  const refusal = "() and the stream handler are for an outbox with the option polling: false"
  await expect(outbox.drain()).rejects.toThrow(`drain${refusal}`)
  await expect(outbox.deliver(["a"])).rejects.toThrow(`deliver${refusal}`)
})

it("a poll loop in a Lambda function causes a process warning", async () => {
  const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {})
  vi.stubEnv("AWS_LAMBDA_FUNCTION_NAME", "orders")
  onTestFinished(() => void vi.unstubAllEnvs())
  const drained = without()
  drained.start()
  expect(emitWarning).not.toHaveBeenCalled()
  const { outbox, start } = createOutbox()
  start()
  await outbox.stop()
  expect(emitWarning).toHaveBeenCalledExactlyOnceWith(expect.stringContaining("polling: false"), {
    type: "OutboxWarning",
    code: "OUTBOX_POLLING_ON_LAMBDA",
  })
})
