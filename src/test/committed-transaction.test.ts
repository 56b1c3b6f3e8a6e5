/** Transactions that the helper commits itself: when it sends, what joins, and what is refused. */
import type { TransactWriteCommand } from "@aws-sdk/lib-dynamodb"
import { BatchSizeLimitError, OperationalError, ValidationError } from "outbox-event-bus"
import { describe, expect, it, onTestFinished, vi } from "vitest"
import { deferred } from "../../packages/outbox-event-bus/src/deferred.fixture.ts"
import type { DynamoDBAwsSdkTransaction, TransactWriteItem } from "../transaction/collector.ts"
import {
  dynamodbAwsSdkTransactionStorage,
  getDynamoDBAwsSdkCollector,
  onTransactionEnd,
  withDynamoDBAwsSdkTransaction,
} from "../transaction-storage.ts"
import { createOutbox, event } from "./outbox.fixture.ts"

const put = (id: string): TransactWriteItem => ({ Put: { TableName: "orders", Item: { id } } })
const current = getDynamoDBAwsSdkCollector()

/** A client that remembers what it was sent. */
function recordingClient(outcome: () => unknown = () => {}) {
  const sent: TransactWriteItem[][] = []
  const send = vi.fn(async (command: TransactWriteCommand) => {
    sent.push([...(command.input.TransactItems ?? [])])
    return outcome()
  })
  return { client: { send } as never, sent, send }
}

describe("a call with a client", () => {
  it("sends after fn has resolved, and resolves with its result", async () => {
    const { client, sent } = recordingClient()
    const result = await withDynamoDBAwsSdkTransaction(
      async (transaction) => {
        transaction.push(put("a"))
        current()?.push(put("b"))
        await Promise.resolve()
        expect(sent).toEqual([])
        return 42
      },
      { client },
    )
    expect(result).toBe(42)
    expect(sent).toEqual([[put("a"), put("b")]])
  })

  it("sends nothing if fn fails or collects nothing", async () => {
    const { client, send } = recordingClient()
    const failed = withDynamoDBAwsSdkTransaction(
      async (transaction) => {
        transaction.push(put("a"))
        throw new Error("out of stock")
      },
      { client },
    )
    await expect(failed).rejects.toThrow("out of stock")
    await withDynamoDBAwsSdkTransaction(async () => {}, { client })
    expect(send).not.toHaveBeenCalled()
  })

  it("refuses a bad option before fn is called", async () => {
    const fn = vi.fn()
    await expect(withDynamoDBAwsSdkTransaction(fn, {} as never)).rejects.toThrow(
      "Invalid option client: undefined",
    )
    expect(fn).not.toHaveBeenCalled()
  })

  it("tells of its end after the commit, and not if that fails", async () => {
    const callback = vi.fn()
    const work = async (transaction: DynamoDBAwsSdkTransaction) => {
      transaction.push(put("a"))
      onTransactionEnd(transaction, callback)
    }
    const failing = recordingClient(() => Promise.reject(new Error("no")))
    await expect(withDynamoDBAwsSdkTransaction(work, { client: failing.client })).rejects.toThrow("no")
    expect(callback).not.toHaveBeenCalled()
    const gate = deferred()
    const succeeding = recordingClient(() => gate.promise)
    const done = withDynamoDBAwsSdkTransaction(work, { client: succeeding.client })
    await vi.waitFor(() => expect(succeeding.send).toHaveBeenCalled())
    expect(callback).not.toHaveBeenCalled()
    gate.resolve()
    await done
    expect(callback).toHaveBeenCalledOnce()
  })

  it("refuses what is pushed too late: while it is sent, and afterwards", async () => {
    const gate = deferred()
    const { client, send, sent } = recordingClient(() => gate.promise)
    let late: DynamoDBAwsSdkTransaction | undefined
    const done = withDynamoDBAwsSdkTransaction(
      async (transaction) => {
        transaction.push(put("a"))
        late = transaction
      },
      { client },
    )
    await vi.waitFor(() => expect(send).toHaveBeenCalled())
    expect(() => late?.push(put("b"))).toThrow("its function has ended and the transaction has been sent")
    gate.resolve()
    await done
    expect(() => late?.push(put("b"))).toThrow(OperationalError)
    expect(sent).toEqual([[put("a")]])
  })

  it("sends nothing if an emit was not awaited", async () => {
    const { client, send } = recordingClient()
    const { outbox } = createOutbox({}, { getCollector: current })
    let emitted: Promise<unknown> | undefined
    const done = withDynamoDBAwsSdkTransaction(
      async (transaction) => {
        transaction.push(put("a"))
        // As the bus does: what it awaits comes before the publish.
        emitted = Promise.resolve()
          .then(() => {})
          .then(() => outbox.publish([event("e1")]))
          .catch((error: unknown) => error)
      },
      { client },
    )
    await expect(done).rejects.toThrow("without awaiting an emit, a push or an inner call")
    expect(await emitted).toMatchObject({ message: expect.stringContaining("Too late for this transaction") })
    expect(send).not.toHaveBeenCalled()
  })

  it("needs no timer that tests may have replaced", async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const { client, sent } = recordingClient()
    await withDynamoDBAwsSdkTransaction(async ({ push }) => push(put("a")), { client })
    expect(sent).toEqual([[put("a")]])
  })

  it("shows how many places are left, and refuses the 101st item where it is pushed", async () => {
    const { client, sent } = recordingClient()
    const full = withDynamoDBAwsSdkTransaction(
      async (transaction) => {
        for (let i = 0; i < 100; i++) {
          expect(transaction.placesLeft).toBe(100 - i)
          transaction.push(put(`${i}`))
        }
        expect(transaction.placesLeft).toBe(0)
        const pushMore = () => transaction.push(put("too many"))
        expect(pushMore).toThrow(BatchSizeLimitError)
        expect(pushMore).toThrow("Cannot push item 101: the transaction already holds 100 items")
      },
      { client },
    )
    await full
    expect(sent[0]).toHaveLength(100)
  })

  it("refuses what is no item, and shows its items only to be read", async () => {
    const { client, sent } = recordingClient()
    await withDynamoDBAwsSdkTransaction(
      async (transaction) => {
        transaction.push(put("a"))
        expect(() => transaction.push(null as never)).toThrow("Cannot push item 2: it is null")
        expect(() => transaction.push("b" as never)).toThrow(ValidationError)
        expect(() => transaction.items.push(put("b"))).toThrow(TypeError)
      },
      { client },
    )
    expect(sent).toEqual([[put("a")]])
  })

  it("knows its events by name when one is refused", async () => {
    const refused = Object.assign(new Error("canceled"), {
      name: "TransactionCanceledException",
      CancellationReasons: [{ Code: "None" }, { Code: "ConditionalCheckFailed" }],
    })
    const { client } = recordingClient(() => Promise.reject(refused))
    const { outbox } = createOutbox({}, { getCollector: current })
    const done = withDynamoDBAwsSdkTransaction(
      async (transaction) => {
        transaction.push(put("a"))
        await outbox.publish([event("e1")])
      },
      { client },
    )
    await expect(done).rejects.toThrow('write 1 (event "e1"): an event with this id is in the table already')
  })
})

describe("a call inside another one that has a client", () => {
  it.each(["with", "without"])("joins it, %s a client of its own", async (which) => {
    const { client, sent } = recordingClient()
    const inner = recordingClient()
    await withDynamoDBAwsSdkTransaction(
      async (outer) => {
        outer.push(put("a"))
        const result = await withDynamoDBAwsSdkTransaction(
          async (joined) => {
            joined.push(put("b"))
            expect(joined.placesLeft).toBe(98)
            current()?.push(put("c"))
            return "inner"
          },
          which === "with" ? { client: inner.client } : undefined,
        )
        expect(result).toBe("inner")
        expect(sent).toEqual([])
        outer.push(put("d"))
      },
      { client },
    )
    expect(sent).toEqual([[put("a"), put("b"), put("c"), put("d")]])
    expect(inner.sent).toEqual([])
  })

  it("rolls the outer one back if it fails, even if the error is caught", async () => {
    const { client, send } = recordingClient()
    const cause = new Error("no room")
    const done = withDynamoDBAwsSdkTransaction(
      async (outer) => {
        outer.push(put("a"))
        await withDynamoDBAwsSdkTransaction(() => Promise.reject(cause)).catch(() => {})
        await withDynamoDBAwsSdkTransaction(async () => {}, { client })
      },
      { client },
    )
    await expect(done).rejects.toMatchObject({
      message: expect.stringContaining(
        "an inner call of withDynamoDBAwsSdkTransaction, which had joined it, has failed",
      ),
      cause,
    })
    expect(send).not.toHaveBeenCalled()
  })

  it("rolls the outer one back where its options are not allowed", async () => {
    const { client, send } = recordingClient()
    const done = withDynamoDBAwsSdkTransaction(
      async (outer) => {
        outer.push(put("a"))
        await withDynamoDBAwsSdkTransaction(async () => {}, { client, retryForMs: -1 }).catch(() => {})
      },
      { client },
    )
    await expect(done).rejects.toMatchObject({ cause: { name: "ConfigurationError" } })
    expect(send).not.toHaveBeenCalled()
  })

  it("must be awaited", async () => {
    const { client, send } = recordingClient()
    const gate = deferred()
    const done = withDynamoDBAwsSdkTransaction(
      async (outer) => {
        outer.push(put("a"))
        void withDynamoDBAwsSdkTransaction(() => gate.promise, { client })
      },
      { client },
    )
    await expect(done).rejects.toThrow("without awaiting an emit, a push or an inner call")
    gate.resolve()
    expect(send).not.toHaveBeenCalled()
  })

  it("can't begin when the outer one has ended", async () => {
    const { client } = recordingClient()
    const gate = deferred()
    let late: Promise<unknown> | undefined
    await withDynamoDBAwsSdkTransaction(
      async (outer) => {
        outer.push(put("a"))
        late = gate.promise.then(() => withDynamoDBAwsSdkTransaction(async () => {}, { client }))
      },
      { client },
    )
    gate.resolve()
    await expect(late).rejects.toThrow("Too late for this transaction")
  })

  it("must not send by itself: reading the items fails where it has no client", async () => {
    const { client, send } = recordingClient()
    const sendsItself = () => withDynamoDBAwsSdkTransaction(async (inner) => void inner.items)
    const done = withDynamoDBAwsSdkTransaction(
      async (outer) => {
        outer.push(put("a"))
        expect(outer.items).toEqual([put("a")])
        await withDynamoDBAwsSdkTransaction(async (inner) => expect(inner.items).toEqual([put("a")]), {
          client,
        })
        await sendsItself()
      },
      { client },
    )
    await expect(done).rejects.toThrow("it must not send collector.items")
    expect(send).not.toHaveBeenCalled()
  })

  it("can't have a token of its own", async () => {
    const { client, send } = recordingClient()
    const done = withDynamoDBAwsSdkTransaction(
      async (outer) => {
        outer.push(put("a"))
        await withDynamoDBAwsSdkTransaction(async () => {}, { client, clientRequestToken: "mine" })
      },
      { client },
    )
    await expect(done).rejects.toThrow("can't have a clientRequestToken of its own")
    expect(send).not.toHaveBeenCalled()
  })
})

describe("a call with a client inside a transaction that its caller sends", () => {
  it("is refused, in one of the helper's and in one of the caller's own", async () => {
    const { client } = recordingClient()
    const fn = vi.fn()
    const inner = () => withDynamoDBAwsSdkTransaction(fn, { client })
    const refusal = "was called with a client inside a transaction that its caller sends"
    await expect(withDynamoDBAwsSdkTransaction(inner)).rejects.toThrow(refusal)
    await expect(dynamodbAwsSdkTransactionStorage.run({ push: () => {} }, inner)).rejects.toThrow(refusal)
    expect(fn).not.toHaveBeenCalled()
  })
})
