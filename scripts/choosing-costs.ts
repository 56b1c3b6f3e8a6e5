/** What delivery costs in a month, by the way it is done: pure arithmetic, for docs/choosing.md. */

export interface Price {
  name: string
  usd: number
  /** So many units cost `usd`. */
  per: number
  unit: string
  /** Where AWS publishes it. */
  source: string
  /** Where it was read. */
  readIn: string
}

export interface Assumption {
  name: string
  value: number
  unit: string
  reason: string
}

export type PriceName =
  | "writeUnit"
  | "readUnit"
  | "storage"
  | "streamRead"
  | "invocation"
  | "gbSecondArm"
  | "gbSecondX86"
  | "schedule"
  | "vcpuHour"
  | "gbHour"
  | "addressHour"

export type AssumptionName =
  | "daysPerMonth"
  | "eventsPerTable"
  | "eventMs"
  | "concurrency"
  | "lambdaGb"
  | "invocationMs"
  | "fargateVcpu"
  | "fargateGb"
  | "eventsPerWorker"
  | "addressesPerWorker"
  | "queriesPerEvent"
  | "queriesPerLoneEvent"
  | "queriesPerDrain"
  | "unitsPerQuery"
  | "intervalSeconds"
  | "shardReadsPerSecond"
  | "shards"

/** The data file. */
export interface PriceList {
  readOn: string
  region: string
  currency: string
  prices: Record<PriceName, Price>
  assumptions: Record<AssumptionName, Assumption>
}

/** What an event needs, on average. Requests are those of its delivery; write units include those of its publication. */
export interface PerEvent {
  requests: number
  writeUnits: number
  readUnits: number
}

export interface Measured {
  /** Delivered from a backlog by a relay: a poller's or a drain's. */
  relay: PerEvent
  stream: PerEvent
  /** A poller without events. */
  idle: { requestsPerMinute: number; readUnitsPerMinute: number }
}

export type Variant = "poller" | "drain" | "stream"
export const VARIANTS: readonly Variant[] = ["poller", "drain", "stream"]

/** What all tables together use in a month. */
export interface Usage {
  tables: number
  events: number
  /** To the table: those that publish are left out. */
  requests: number
  writeUnits: number
  readUnits: number
  /** Processes that always run. */
  workers: number
  invocations: number
  /** Invocations that a schedule makes; they are among `invocations`. */
  scheduled: number
  lambdaSeconds: number
}

/** US dollars a month. */
export interface Cost {
  writes: number
  reads: number
  compute: number
  invocations: number
  total: number
}

export class Costs {
  private readonly assumed: Record<AssumptionName, number>

  constructor(
    private readonly list: PriceList,
    private readonly measured: Measured,
  ) {
    const entries = Object.entries(list.assumptions).map(([name, { value }]) => [name, value])
    this.assumed = Object.fromEntries(entries) as Record<AssumptionName, number>
  }

  get secondsPerMonth(): number {
    return this.assumed.daysPerMonth * 24 * 60 * 60
  }

  /** From so many events a second and table on, a drain finds new events for as long as it runs. */
  get endlessFrom(): number {
    return 1000 / this.assumed.eventMs
  }

  /** Up to so many events a second, one drain at a time is enough for a table. */
  get drainKeepsUpWith(): number {
    return this.endlessFrom * this.assumed.concurrency
  }

  /** @param rate - Events a second, evenly spread over as many tables as they need. */
  usage(variant: Variant, rate: number): Usage {
    const tables = Math.max(1, Math.ceil(rate / this.assumed.eventsPerTable))
    const ofTable = { poller: this.poller, drain: this.drain, stream: this.stream }[variant]
    const one = ofTable.call(this, rate / tables)
    const all = Object.entries(one).map(([name, ofOne]) => [name, ofOne * tables])
    return { tables, events: rate * this.secondsPerMonth, ...(Object.fromEntries(all) as typeof one) }
  }

  cost(variant: Variant, rate: number): Cost {
    const used = this.usage(variant, rate)
    const { fargateVcpu, fargateGb, addressesPerWorker, lambdaGb } = this.assumed
    const hour =
      this.price("vcpuHour", fargateVcpu) +
      this.price("gbHour", fargateGb) +
      this.price("addressHour", addressesPerWorker)
    const writes = this.price("writeUnit", used.writeUnits)
    const reads = this.price("readUnit", used.readUnits)
    const compute =
      (hour * used.workers * this.secondsPerMonth) / 3600 +
      this.price("gbSecondArm", used.lambdaSeconds * lambdaGb)
    const invocations = this.price("invocation", used.invocations) + this.price("schedule", used.scheduled)
    return { writes, reads, compute, invocations, total: writes + reads + compute + invocations }
  }

  /** @returns what `amount` units cost. */
  price(name: PriceName, amount: number): number {
    const { usd, per } = this.list.prices[name]
    return (amount * usd) / per
  }

  private poller(rate: number) {
    const { relay, idle } = this.measured
    const workers = Math.max(1, Math.ceil(rate / this.assumed.eventsPerWorker))
    const minutes = (this.secondsPerMonth / 60) * workers
    const events = rate * this.secondsPerMonth
    const queries = events * this.queriesPerEvent(rate)
    return {
      requests: events * relay.requests + queries + minutes * idle.requestsPerMinute,
      writeUnits: events * relay.writeUnits,
      readUnits:
        events * relay.readUnits + queries * this.assumed.unitsPerQuery + minutes * idle.readUnitsPerMinute,
      workers,
      invocations: 0,
      scheduled: 0,
      lambdaSeconds: 0,
    }
  }

  private drain(rate: number) {
    const { relay } = this.measured
    const { intervalSeconds, queriesPerDrain, unitsPerQuery } = this.assumed
    const drains = this.secondsPerMonth / intervalSeconds
    const events = rate * this.secondsPerMonth
    const isEndless = rate >= this.endlessFrom
    const atOnce = Math.max(1, Math.ceil(rate / this.drainKeepsUpWith))
    const seconds = isEndless ? intervalSeconds * atOnce : this.busySeconds(rate * intervalSeconds)
    const queries = isEndless ? events * this.queriesPerEvent(rate) : drains * queriesPerDrain
    return {
      requests: events * relay.requests + queries,
      writeUnits: events * relay.writeUnits,
      readUnits: events * relay.readUnits + queries * unitsPerQuery,
      workers: 0,
      invocations: drains,
      scheduled: drains,
      lambdaSeconds: drains * seconds,
    }
  }

  private stream(rate: number) {
    const { stream } = this.measured
    const { intervalSeconds, queriesPerDrain, unitsPerQuery } = this.assumed
    const events = rate * this.secondsPerMonth
    const perBatch = this.eventsPerBatch(rate)
    const batches = events / perBatch
    const sweeps = this.secondsPerMonth / intervalSeconds
    return {
      requests: events * stream.requests + sweeps * queriesPerDrain,
      writeUnits: events * stream.writeUnits,
      readUnits: events * stream.readUnits + sweeps * queriesPerDrain * unitsPerQuery,
      workers: 0,
      invocations: batches + sweeps,
      scheduled: sweeps,
      lambdaSeconds: batches * this.busySeconds(perBatch) + sweeps * this.busySeconds(1),
    }
  }

  /** How many events an invocation by the stream of one table gets. */
  eventsPerBatch(rate: number): number {
    return Math.max(1, rate / (this.assumed.shards * this.assumed.shardReadsPerSecond))
  }

  private queriesPerEvent(rate: number): number {
    return rate >= this.endlessFrom ? this.assumed.queriesPerEvent : this.assumed.queriesPerLoneEvent
  }

  /** How long an invocation with so many events takes. */
  private busySeconds(events: number): number {
    const rounds = Math.ceil(events / this.assumed.concurrency)
    return (this.assumed.invocationMs + rounds * this.assumed.eventMs) / 1000
  }
}
