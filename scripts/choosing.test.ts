import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { fillBlocks } from "./choosing.ts"
import {
  type AssumptionName,
  Costs,
  type Measured,
  type PriceList,
  type PriceName,
} from "./choosing-costs.ts"

/** Round figures, so that the results can be computed by hand. */
const PRICES: Record<PriceName, [usd: number, per: number]> = {
  writeUnit: [0.625, 1_000_000],
  readUnit: [0.125, 1_000_000],
  storage: [0.25, 1],
  streamRead: [0, 1],
  invocation: [0.2, 1_000_000],
  gbSecondArm: [0.00001, 1],
  gbSecondX86: [0.00002, 1],
  schedule: [1, 1_000_000],
  vcpuHour: [0.04, 1],
  gbHour: [0.004, 1],
  addressHour: [0.005, 1],
}
const ASSUMPTIONS: Record<AssumptionName, number> = {
  daysPerMonth: 30,
  eventsPerTable: 500,
  eventMs: 40,
  concurrency: 10,
  lambdaGb: 0.5,
  invocationMs: 20,
  fargateVcpu: 0.25,
  fargateGb: 0.5,
  eventsPerWorker: 200,
  addressesPerWorker: 1,
  queriesPerEvent: 1,
  queriesPerLoneEvent: 2,
  queriesPerDrain: 4,
  unitsPerQuery: 0.5,
  intervalSeconds: 60,
  shardReadsPerSecond: 4,
  shards: 5,
}
const MEASURED: Measured = {
  relay: { requests: 2, writeUnits: 8, readUnits: 0 },
  stream: { requests: 2, writeUnits: 8, readUnits: 0 },
  idle: { requestsPerMinute: 64, readUnitsPerMinute: 32 },
}
const LIST: PriceList = {
  readOn: "2026-11-27",
  region: "us-east-1",
  currency: "USD",
  prices: mapped(PRICES, ([usd, per]) => ({ name: "", usd, per, unit: "", source: "", readIn: "" })),
  assumptions: mapped(ASSUMPTIONS, (value) => ({ name: "", value, unit: "", reason: "" })),
}

function mapped<K extends string, A, B>(from: Record<K, A>, change: (value: A) => B): Record<K, B> {
  const entries = Object.entries<A>(from).map(([name, value]) => [name, change(value)])
  return Object.fromEntries(entries) as Record<K, B>
}

const MONTH = 2_592_000
const costs = new Costs(LIST, MEASURED)

describe("usage", () => {
  it("has 2,592,000 events in a month at 1 event a second", () => {
    for (const variant of ["poller", "drain", "stream"] as const) {
      expect(costs.usage(variant, 1)).toMatchObject({ events: 2_592_000, tables: 1, writeUnits: 20_736_000 })
    }
  })

  it("needs a table for each 500 events a second", () => {
    const tables = [1, 500, 501, 10_000].map((rate) => costs.usage("stream", rate).tables)
    expect(tables).toEqual([1, 1, 2, 20])
  })

  it.for([
    [1, 1],
    [100, 1],
    [200, 1],
    [201, 2],
    [500, 3],
    [10_000, 60],
  ] as const)("runs, at %i events a second, %i pollers", ([rate, workers]) => {
    expect(costs.usage("poller", rate)).toMatchObject({ workers, invocations: 0, lambdaSeconds: 0 })
  })

  it("adds to a poller's requests those of its idle looks, and two queries for each event that comes alone", () => {
    const { requests, readUnits } = costs.usage("poller", 1)
    expect(requests).toBe(MONTH * (2 + 2) + 43_200 * 64)
    expect(readUnits).toBe(MONTH * 2 * 0.5 + 43_200 * 32)
  })

  it("drains 60 events a minute in six rounds of handlers", () => {
    const { invocations, scheduled, lambdaSeconds, readUnits } = costs.usage("drain", 1)
    expect([invocations, scheduled]).toEqual([43_200, 43_200])
    // 20 ms + 6 × 40 ms
    expect(lambdaSeconds).toBeCloseTo(43_200 * 0.26)
    expect(readUnits).toBe(43_200 * 4 * 0.5)
  })

  it("drains for the whole minute where events come faster than a handler takes", () => {
    expect(costs.endlessFrom).toBe(25)
    expect(costs.usage("drain", 24).lambdaSeconds).toBeCloseTo(43_200 * (0.02 + 144 * 0.04))
    expect(costs.usage("drain", 25).lambdaSeconds).toBe(MONTH)
    expect(costs.usage("drain", 100).readUnits).toBe(100 * MONTH * 0.5)
  })

  it("drains twice at once where one function can't keep up", () => {
    expect(costs.drainKeepsUpWith).toBe(250)
    expect(costs.usage("drain", 250).lambdaSeconds).toBe(MONTH)
    expect(costs.usage("drain", 500).lambdaSeconds).toBe(2 * MONTH)
  })

  it("invokes by the stream once per event, and in batches only above 20 events a second", () => {
    expect([1, 20, 100, 500].map((rate) => costs.eventsPerBatch(rate))).toEqual([1, 1, 5, 25])
    expect(costs.usage("stream", 1).invocations).toBe(MONTH + 43_200)
    expect(costs.usage("stream", 100).invocations).toBe(20 * MONTH + 43_200)
  })

  it("sweeps beside the stream, which leaves the sweeper little to find", () => {
    expect(costs.usage("stream", 1).lambdaSeconds).toBeCloseTo((MONTH + 43_200) * 0.06)
    expect(costs.usage("stream", 1).requests).toBe(MONTH * 2 + 43_200 * 4)
    expect(costs.usage("stream", 100).lambdaSeconds).toBeCloseTo((20 * MONTH + 43_200) * 0.06)
    expect(costs.usage("stream", 100).readUnits).toBe(43_200 * 4 * 0.5)
  })
})

describe("cost", () => {
  it("is, for the writes of the stream, events times units times price", () => {
    expect(costs.cost("stream", 1).writes).toBeCloseTo((2_592_000 * 8 * 0.625) / 1_000_000)
    expect(costs.cost("stream", 1).writes).toBeCloseTo(12.96)
    expect(costs.cost("stream", 10_000).writes).toBeCloseTo(129_600)
  })

  it("is, for a poller's process, 720 hours of processor, memory and address", () => {
    // 0.25 × 0.04 + 0.5 × 0.004 + 0.005 = 0.017 an hour
    expect(costs.cost("poller", 1)).toMatchObject({ compute: expect.closeTo(12.24), invocations: 0 })
    expect(costs.cost("poller", 10_000).compute).toBeCloseTo(12.24 * 60)
  })

  it("is, for a drain, seconds times memory times price, and its schedule", () => {
    const { compute, invocations, reads } = costs.cost("drain", 100)
    expect(compute).toBeCloseTo(12.96)
    expect(invocations).toBeCloseTo(0.0432 + 0.00864)
    // 259.2 million events, half a unit each
    expect(reads).toBeCloseTo(16.2)
  })

  it("adds up", () => {
    const { total, ...parts } = costs.cost("stream", 100)
    expect(Object.values(parts).reduce((sum, part) => sum + part)).toBeCloseTo(total)
  })
})

describe("fillBlocks", () => {
  const page = "text\n<!-- a: written by npm run docs:choosing -->\nold\n<!-- end of a -->\nmore\n"

  it("writes between the markers, and changes nothing the second time", () => {
    const once = fillBlocks(page, { a: "| new |" })
    expect(once).toBe(
      "text\n<!-- a: written by npm run docs:choosing -->\n\n| new |\n\n<!-- end of a -->\nmore\n",
    )
    expect(fillBlocks(once, { a: "| new |" })).toBe(once)
  })

  it("refuses a page without the block", () => {
    expect(() => fillBlocks(page, { b: "" })).toThrow(/no block "<!-- b: written by/)
  })
})

it("knows the price list by the names that are in the file", () => {
  const list = JSON.parse(readFileSync("docs/choosing/prices.json", "utf8")) as PriceList
  expect(Object.keys(list.prices)).toEqual(Object.keys(PRICES))
  expect(Object.keys(list.assumptions)).toEqual(Object.keys(ASSUMPTIONS))
})
