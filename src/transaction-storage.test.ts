import { describe, expect, it, vi } from "vitest"
import { deferred } from "../packages/outbox-event-bus/src/deferred.fixture.ts"
import type { DynamoDBAwsSdkTransactionCollector, TransactWriteItem } from "./transaction/collector.ts"
import {
  dynamodbAwsSdkTransactionStorage,
  getDynamoDBAwsSdkCollector,
  onTransactionEnd,
  withDynamoDBAwsSdkTransaction,
} from "./transaction-storage.ts"

const put = (id: string): TransactWriteItem => ({ Put: { TableName: "orders", Item: { id } } })
const current = getDynamoDBAwsSdkCollector()

describe("withDynamoDBAwsSdkTransaction", () => {
  it("gives a fresh collector that keeps what is pushed, in order", async () => {
    const pushed = await withDynamoDBAwsSdkTransaction(async (collector) => {
      expect(collector.items).toEqual([])
      expect(collector.push(put("a"))).toBeUndefined()
      collector.push(put("b"))
      return collector.items
    })
    expect(pushed).toEqual([put("a"), put("b")])
  })

  it("lets the collector be found anywhere inside, also after an await, and not outside", async () => {
    expect(current()).toBeUndefined()
    await withDynamoDBAwsSdkTransaction(async (collector) => {
      expect(current()).toBe(collector)
      expect(dynamodbAwsSdkTransactionStorage.getStore()).toBe(collector)
      await Promise.resolve()
      expect(current()).toBe(collector)
    })
    expect(current()).toBeUndefined()
  })

  it("resolves with what fn resolves with", async () => {
    await expect(withDynamoDBAwsSdkTransaction(async () => 42)).resolves.toBe(42)
  })

  it("opens a transaction of its own inside another, and goes back to the outer one", async () => {
    await withDynamoDBAwsSdkTransaction(async (outer) => {
      await withDynamoDBAwsSdkTransaction(async (inner) => {
        expect(inner).not.toBe(outer)
        expect(current()).toBe(inner)
        inner.push(put("inner"))
      })
      expect(current()).toBe(outer)
      expect(outer.items).toEqual([])
    })
  })

  it("keeps transactions that run side by side apart", async () => {
    const meeting = deferred()
    const place = (id: string) =>
      withDynamoDBAwsSdkTransaction(async (collector) => {
        await meeting.promise
        current()?.push(put(id))
        return collector.items
      })
    const both = Promise.all([place("a"), place("b")])
    meeting.resolve()
    expect(await both).toEqual([[put("a")], [put("b")]])
  })

  it.each([
    ["rejects", async () => Promise.reject(new Error("out of stock"))],
    [
      "throws at once",
      () => {
        throw new Error("out of stock")
      },
    ],
  ])("throws on the error where fn %s, and leaves no transaction open", async (_, fn) => {
    await expect(withDynamoDBAwsSdkTransaction(fn as () => Promise<void>)).rejects.toThrow("out of stock")
    expect(current()).toBeUndefined()
  })
})

describe("onTransactionEnd", () => {
  it("calls back once, after fn has resolved", async () => {
    const callback = vi.fn()
    await withDynamoDBAwsSdkTransaction(async (collector) => {
      onTransactionEnd(collector, callback)
      onTransactionEnd(collector, callback)
      await Promise.resolve()
      expect(callback).not.toHaveBeenCalled()
    })
    expect(callback).toHaveBeenCalledOnce()
  })

  it("does not call back when fn fails, since nothing was committed then", async () => {
    const callback = vi.fn()
    const transaction = withDynamoDBAwsSdkTransaction(async (collector) => {
      onTransactionEnd(collector, callback)
      throw new Error("not committed")
    })
    await expect(transaction).rejects.toThrow("not committed")
    expect(callback).not.toHaveBeenCalled()
  })

  it("calls back for the transaction that it was asked for alone", async () => {
    const callback = vi.fn()
    await withDynamoDBAwsSdkTransaction(async (outer) => {
      onTransactionEnd(outer, callback)
      await withDynamoDBAwsSdkTransaction(async () => {})
      expect(callback).not.toHaveBeenCalled()
    })
    expect(callback).toHaveBeenCalledOnce()
  })

  it.each<[string, DynamoDBAwsSdkTransactionCollector]>([
    ["a collector of the caller's own", { push: () => {} }],
    ["a bare array", [] as TransactWriteItem[]],
  ])("never calls back for %s, whose end nobody can know", (_, collector) => {
    const callback = vi.fn()
    onTransactionEnd(collector, callback)
    expect(callback).not.toHaveBeenCalled()
  })
})

describe("a second copy of the package in the same process", () => {
  it("finds the transactions of the first, and is told of their end", async () => {
    vi.resetModules()
    const second = await import("./transaction-storage.ts")
    expect(second.withDynamoDBAwsSdkTransaction).not.toBe(withDynamoDBAwsSdkTransaction)
    const onEnd = vi.fn()
    await withDynamoDBAwsSdkTransaction(async (collector) => {
      expect(second.getDynamoDBAwsSdkCollector()()).toBe(collector)
      second.onTransactionEnd(collector, onEnd)
    })
    expect(onEnd).toHaveBeenCalledOnce()
  })
})
