/** Plays one scenario: tables, publisher, fleet, what happens to them; then heals, waits until all is settled, and judges. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { CreateTableCommand, DeleteTableCommand, type DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { BatchWriteCommand, DynamoDBDocumentClient, paginateScan } from "@aws-sdk/lib-dynamodb"
import {
  type Chance,
  clientFor,
  createOutboxTable,
  injectFaults,
  seededChance,
  TableStream,
} from "../packages/dynamodb-dev/src/index.ts"
import { DynamoDBAwsSdkOutbox } from "../src/index.ts"
import { Fleet } from "./fleet.ts"
import { type Entry, readJournals, trueNow } from "./journal.ts"
import { judge, type Verdict } from "./judge.ts"
import { Publisher } from "./publisher.ts"
import type { Scenario } from "./scenario.ts"
import { storyOf } from "./story.ts"

const LOOK_EVERY_MS = 250
const SETTLE_WITHIN_MS = 90_000
const RESTORED_AT_ONCE = 25
/** How many of the events that something is wrong with are told about. */
const STORIES = 3

export interface Setting {
  endpoint: string
  seed: string
  /** How long things happen, in milliseconds. */
  durationMs: number
  /** Events per second. */
  rate: number
}

export interface Outcome extends Verdict {
  scenario: string
  /** What became of events that something is wrong with. */
  stories: Array<{ id: string; lines: string[] }>
  events: number
  workers: number
  kills: number
  /** From the end of all trouble until the last event was settled. */
  settledAfterMs: number
  longestStopMs: number
  /** What was injected, in all. */
  injected: number
}

type Item = { id: string; status: string; [attribute: string]: unknown }

export class Stage {
  readonly chance: Chance
  readonly fleet: Fleet
  readonly endsAt: number
  private readonly client: DynamoDBClient
  private readonly documents: DynamoDBDocumentClient
  private readonly publisher: Publisher
  private readonly folder: string
  private readonly tableName: string
  private readonly ordersTableName: string
  private readonly projection: "ALL" | "KEYS_ONLY"
  private restoredFrom: number | undefined

  constructor(
    private readonly scenario: Scenario,
    private readonly setting: Setting,
  ) {
    const { endpoint, seed } = setting
    const { processingTimeoutMs, maxRetries, poison } = scenario
    const unique = `${scenario.name.replaceAll(" ", "-")}-${seed}-${Math.round(trueNow())}`
    this.tableName = `outbox-${unique}`
    this.ordersTableName = `orders-${unique}`
    this.folder = mkdtempSync(join(tmpdir(), "chaos-"))
    this.chance = seededChance(`${seed}/${scenario.name}`)
    this.projection = scenario.projection ?? this.chance.pick(["ALL", "KEYS_ONLY"])
    this.client = clientFor(endpoint)
    this.documents = DynamoDBDocumentClient.from(this.client)
    const { tableName, folder } = this
    this.fleet = new Fleet(
      { endpoint, tableName, folder, seed: `${seed}/${scenario.name}`, processingTimeoutMs, maxRetries },
      this.chance,
      poison > 0,
    )
    this.publisher = new Publisher({
      client: this.publishingClient(),
      tableName,
      ordersTableName: this.ordersTableName,
      chance: seededChance(`${seed}/${scenario.name}/publisher`),
      rate: setting.rate,
      longestHandlerMs: scenario.longestHandlerMs,
      poison,
    })
    this.endsAt = 0
  }

  private get settleWithinMs(): number {
    return this.scenario.settleWithinMs ?? SETTLE_WITHIN_MS
  }

  /** Whether there is still time for something to happen. */
  get goesOn(): boolean {
    return performance.now() < this.endsAt
  }

  async play(): Promise<Outcome> {
    const { scenario, fleet, publisher } = this
    try {
      await this.createTables()
      await scenario.begin(this)
      publisher.start()
      Object.assign(this, { endsAt: performance.now() + this.setting.durationMs })
      await scenario.happen(this)
      while (this.goesOn) await delay(50)
      await publisher.stop()
      fleet.heal()
      await this.workOn()
      const healedAt = performance.now()
      const isSettled = await this.untilSettled()
      const settledAfterMs = performance.now() - healedAt
      fleet.heal()
      await fleet.stopAll()
      const outcome = await this.outcome(settledAfterMs)
      if (!isSettled)
        outcome.broken.push(`not all was settled ${this.settleWithinMs} ms after the trouble ended`)
      return outcome
    } finally {
      await fleet.killAll()
      await this.dropTables()
      this.client.destroy()
      rmSync(this.folder, { recursive: true, force: true })
    }
  }

  /** Waits up to so long, or until the time of the scenario is over. */
  async pause(leastMs: number, mostMs: number): Promise<void> {
    const left = Math.max(0, this.endsAt - performance.now())
    await delay(Math.min(left, this.chance.between(leastMs, mostMs)))
  }

  /** The table disappears, is created anew, and gets its data back, while nobody publishes. */
  async loseAndRestoreTable(goneForMs: number): Promise<void> {
    await this.publisher.pausedFor(async () => {
      this.restoredFrom = trueNow()
      const items = await this.scan(this.tableName)
      await this.client.send(new DeleteTableCommand({ TableName: this.tableName }))
      await delay(goneForMs)
      await this.createOutbox()
      for (let i = 0; i < items.length; i += RESTORED_AT_ONCE) {
        const requests = items.slice(i, i + RESTORED_AT_ONCE).map((Item) => ({ PutRequest: { Item } }))
        await this.documents.send(new BatchWriteCommand({ RequestItems: { [this.tableName]: requests } }))
      }
    })
  }

  /** How far it is, for who watches. */
  progress(): { published: number; workers: number; runs: number } {
    const runs = [...readJournals(this.folder).values()].flat().filter(({ what }) => what === "ended").length
    return { published: this.publisher.published.size, workers: this.fleet.alive.length, runs }
  }

  private publishingClient(): DynamoDBClient {
    const client = clientFor(this.setting.endpoint)
    const { publisherFaults } = this.scenario
    if (publisherFaults) injectFaults(client, { seed: `${this.setting.seed}/publisher`, ...publisherFaults })
    return client
  }

  /** The stream of the outbox table, from its start. */
  openStream(): Promise<TableStream> {
    return TableStream.open(this.setting.endpoint, this.tableName)
  }

  private async workOn(): Promise<void> {
    await (this.scenario.settle ? this.scenario.settle(this) : this.keepAlive())
  }

  /** At least two workers must be there to settle the rest. Poison may still be at work. */
  private async keepAlive(): Promise<void> {
    while (this.fleet.alive.length < 2) await this.fleet.start(this.scenario.lastTraits)
  }

  private async untilSettled(): Promise<boolean> {
    const deadline = performance.now() + this.settleWithinMs
    for (;;) {
      const statuses = new Map((await this.scan(this.tableName)).map(({ id, status }) => [id, status]))
      const isSettled = (id: string) => ["completed", "failed"].includes(statuses.get(id) ?? "")
      if ([...this.publisher.published.keys()].every(isSettled)) return true
      if (performance.now() > deadline) return false
      await this.workOn()
      await delay(LOOK_EVERY_MS)
    }
  }

  private async outcome(settledAfterMs: number): Promise<Outcome> {
    const { fleet, publisher, scenario } = this
    const journals = readJournals(this.folder)
    const operator = new DynamoDBAwsSdkOutbox({ client: this.client, tableName: this.tableName })
    const verdict = judge({
      published: publisher.published,
      refused: publisher.refused,
      orders: publisher.orders,
      journals,
      workers: fleet.all,
      processingTimeoutMs: scenario.processingTimeoutMs,
      maxRetries: scenario.maxRetries,
      restoredFrom: this.restoredFrom,
      isGentle: scenario.isGentle ?? false,
      items: await this.scan(this.tableName),
      orderIds: new Set((await this.scan(this.ordersTableName)).map(({ id }) => id)),
      deadLetterIds: new Set((await operator.getFailedEvents()).map(({ id }) => id)),
    })
    const entries = [...journals.values()]
    const stops = entries.flat().flatMap((entry) => (entry.what === "stopped" ? entry.ms : []))
    return {
      ...verdict,
      broken: [...fleet.faults, ...verdict.broken],
      stories: [...verdict.brokenIds]
        .slice(0, STORIES)
        .map((id) => ({ id, lines: storyOf(id, journals, fleet.all) })),
      scenario: scenario.name,
      events: publisher.published.size,
      workers: fleet.all.length,
      kills: fleet.kills,
      settledAfterMs,
      longestStopMs: Math.max(0, ...stops),
      injected: entries.reduce((sum, ofWorker) => sum + injectedIn(ofWorker), 0),
    }
  }

  private async createOutbox(): Promise<void> {
    const { tableName, projection } = this
    const stream = this.scenario.hasStream && {
      stream: this.chance.pick(["NEW_IMAGE", "KEYS_ONLY"] as const),
    }
    await createOutboxTable(this.client, { tableName, projection, ...stream })
  }

  private async createTables(): Promise<void> {
    await this.createOutbox()
    await this.client.send(
      new CreateTableCommand({
        TableName: this.ordersTableName,
        BillingMode: "PAY_PER_REQUEST",
        AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
        KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
      }),
    )
  }

  private async dropTables(): Promise<void> {
    for (const TableName of [this.tableName, this.ordersTableName]) {
      await this.client.send(new DeleteTableCommand({ TableName })).catch(() => {})
    }
  }

  private async scan(TableName: string): Promise<Item[]> {
    const items: Item[] = []
    for await (const page of paginateScan({ client: this.documents }, { TableName, ConsistentRead: true })) {
      items.push(...((page.Items ?? []) as Item[]))
    }
    return items
  }
}

function injectedIn(entries: readonly Entry[]): number {
  const last = entries.findLast((entry) => entry.what === "faults")
  if (last?.what !== "faults") return 0
  const { attempts: _attempts, ...faults } = last.counts
  return Object.values(faults).reduce((sum, count) => sum + count, 0)
}
