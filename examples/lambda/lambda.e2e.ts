/**
 * The functions do their work on the tables that the template makes, and the template grants each of them what it sends: all of
 * that, and nothing else.
 */
import { randomUUID } from "node:crypto"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import {
  CreateTableCommand,
  type CreateTableCommandInput,
  type DynamoDBClient,
  ScanCommand,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb"
import { DeleteCommand } from "@aws-sdk/lib-dynamodb"
import { STREAM_FILTERS } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/lambda"
import type { DynamoDBRecord } from "aws-lambda"
import { afterEach, beforeEach, describe, expect, inject, onTestFinished, test, vi } from "vitest"
import { Reference, SamTemplate } from "../../e2e/fixture/sam-template.ts"
import { endpoint, type Item, newClient, TestTable } from "../../e2e/fixture/table.ts"
import { LOCAL_CREDENTIALS, LOCAL_REGION } from "../../packages/dynamodb-dev/src/index.ts"

const FOLDER = fileURLToPath(new URL(".", import.meta.url))
const FUNCTIONS = ["PlaceOrder", "DeliverNew", "Sweep"]

const template = new SamTemplate(join(FOLDER, "template.yaml"))

/** What Lambda does in the role of the consumer. */
const SENT_BY_LAMBDA = [
  "dynamodb:DescribeStream on OutboxTable/stream/*",
  "dynamodb:GetRecords on OutboxTable/stream/*",
  "dynamodb:GetShardIterator on OutboxTable/stream/*",
  "dynamodb:ListStreams on OutboxTable/stream/*",
  "sqs:SendMessage on StreamFailures",
]

describe("the template", () => {
  test("refers only to what there is", () => {
    // SAM makes the API for events of the type HttpApi.
    const known = [...template.names, "ServerlessHttpApi"]
    const referred = template.referredNames.filter((name) => !name.startsWith("AWS::"))
    expect(referred).toContain("OutboxTable.StreamArn")
    expect(referred.filter((name) => !known.includes(name.split(".")[0] as string))).toEqual([])
  })

  test("names handlers that are in this folder, and builds them", () => {
    expect(template.ofType("AWS::Serverless::Function")).toEqual(FUNCTIONS)
    for (const name of FUNCTIONS) {
      const { path, file } = handlerOf(name)
      expect(existsSync(path), path).toBe(true)
      expect(template.resource(name).Metadata).toMatchObject({
        BuildMethod: "esbuild",
        BuildProperties: { EntryPoints: [file], External: ["@aws-sdk/*"] },
      })
    }
  })

  test("leaves it to no policy of SAM's what a function may do", () => {
    const events = FUNCTIONS.flatMap((name) => Object.values(template.function(name).Events ?? {}))
    // For one of the type DynamoDB, SAM would let the function read the streams of all tables.
    expect(events.map(({ Type }) => Type)).toEqual(["HttpApi", "Schedule"])
    const policies = FUNCTIONS.flatMap((name) => template.function(name).Policies)
    expect(policies.map((policy) => Object.keys(policy))).toEqual(
      FUNCTIONS.map(() => ["Version", "Statement"]),
    )
  })

  test("invokes the consumer with new events only, and has it say which records have failed", () => {
    const [name, ...others] = template.ofType("AWS::Lambda::EventSourceMapping")
    expect(others).toEqual([])
    const { Properties } = template.resource(name as string)
    expect(Properties).toMatchObject({
      FunctionName: Reference.to("DeliverNew"),
      EventSourceArn: Reference.to("OutboxTable.StreamArn"),
      StartingPosition: "TRIM_HORIZON",
      FunctionResponseTypes: ["ReportBatchItemFailures"],
      BisectBatchOnFunctionError: true,
      DestinationConfig: { OnFailure: { Destination: Reference.to("StreamFailures.Arn") } },
    })
    expect(Properties.FilterCriteria).toEqual({
      Filters: [{ Pattern: JSON.stringify(STREAM_FILTERS.images) }],
    })
    // By default, both are -1: no limit.
    expect(Properties.MaximumRetryAttempts).toBeGreaterThanOrEqual(0)
    expect(Properties.MaximumRecordAgeInSeconds).toBeGreaterThanOrEqual(60)
    // Otherwise, the filter would let nothing pass.
    expect(template.resource("OutboxTable").Properties.StreamSpecification.StreamViewType).toBe("NEW_IMAGE")
  })

  test("has one sweep end before the next begins", () => {
    const { Events = {}, Timeout } = template.function("Sweep")
    expect(Object.values(Events)).toMatchObject([{ Properties: { Schedule: "rate(1 minute)" } }])
    expect(Timeout).toBeLessThan(60)
  })

  test("keeps both tables, and they can be restored", () => {
    for (const name of ["OutboxTable", "OrdersTable"]) {
      expect(template.resource(name)).toMatchObject({
        DeletionPolicy: "Retain",
        UpdateReplacePolicy: "Retain",
        Properties: {
          BillingMode: "PAY_PER_REQUEST",
          DeletionProtectionEnabled: true,
          PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        },
      })
    }
  })

  test("has an alarm for each way to fail", () => {
    const watched = template.ofType("AWS::CloudWatch::Alarm").map((name) => {
      const { MetricName, Dimensions = [], AlarmActions } = template.resource(name).Properties
      expect(AlarmActions).toEqual([Reference.to("Alarms")])
      return [MetricName, ...Dimensions.flatMap(({ Value }: { Value: Reference }) => Value.names)]
    })
    expect(watched).toEqual([
      ["Errors", "Sweep"],
      ["Errors", "DeliverNew"],
      ["IteratorAge", "DeliverNew"],
      ["ApproximateNumberOfMessagesVisible", "StreamFailures.QueueName"],
      ["Undelivered"],
    ])
    const { MetricTransformations } = template.resource("Undelivered").Properties
    expect(MetricTransformations).toMatchObject([{ MetricName: "Undelivered" }])
    for (const name of ["DeliverNew", "Sweep"]) {
      const { LogGroup } = template.resource(name).Properties.LoggingConfig
      expect(LogGroup).toEqual(template.resource("Undelivered").Properties.LogGroupName)
    }
  })
})

describe("the functions", () => {
  beforeEach(() => {
    if (inject("endpoint") === null) return
    vi.stubEnv("AWS_ENDPOINT_URL_DYNAMODB", endpoint())
    vi.stubEnv("AWS_REGION", LOCAL_REGION)
    vi.stubEnv("AWS_ACCESS_KEY_ID", LOCAL_CREDENTIALS.accessKeyId)
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", LOCAL_CREDENTIALS.secretAccessKey)
    vi.spyOn(console, "log").mockImplementation(() => {})
    vi.spyOn(console, "error").mockImplementation(() => {})
  })

  afterEach(() => {
    vi.unstubAllEnvs()
    vi.restoreAllMocks()
  })

  test("PlaceOrder stores an order and its event, and refuses an order that exists", async () => {
    const tables = await createTables()
    const placeOrder = await load("PlaceOrder", tables)

    expect(await placeOrder.invoke(order("42"))).toEqual({ statusCode: 202 })
    expect(await placeOrder.invoke(order("42"))).toMatchObject({ statusCode: 409 })
    expect(await placeOrder.invoke({ body: "{" })).toMatchObject({ statusCode: 400 })
    expect(await placeOrder.invoke({})).toMatchObject({ statusCode: 400 })

    expect(await tables.orders.all()).toEqual([{ orderId: "42" }])
    expect(await tables.outbox.all()).toMatchObject([
      { type: "order.placed", payload: { orderId: "42" }, status: "created" },
    ])
    expect(placeOrder.sent).toEqual(template.grantedTo("PlaceOrder"))
    // It has not started the bus: being frozen after a response, it must not deliver.
    await expect(placeOrder.shared.outbox.drain()).rejects.toThrow("no handlers")
  })

  test("PlaceOrder fails where not the order is refused, but its event", async () => {
    const tables = await createTables()
    const placeOrder = await load("PlaceOrder", tables)
    placeOrder.shared.bus.addEmitMiddleware((context, next) => {
      context.event.id = "always the same"
      return next()
    })
    await placeOrder.invoke(order("first"))
    await expect(placeOrder.invoke(order("second"))).rejects.toThrow("an event with this id is in the table")
    expect(await tables.orders.all()).toEqual([{ orderId: "first" }])
  })

  test("DeliverNew delivers what the stream brings, and leaves what fails to the sweeper", async () => {
    const tables = await createTables()
    await place(tables, "42", "fails")
    await removeOrder(tables, "fails")
    const deliverNew = await load("DeliverNew", tables)

    expect(await deliverNew.invoke(await streamEvent(tables))).toEqual({ batchItemFailures: [] })
    expect(await eventOf(tables, "42")).toMatchObject({ status: "completed" })
    expect(await eventOf(tables, "fails")).toMatchObject({ status: "created", retryCount: 1 })
    expect(await tables.orders.all()).toEqual([{ orderId: "42", confirmedAt: expect.any(String) }])

    // While an event runs that may have crashed others, the function looks at the next ones before it claims them.
    await placeSuspects(tables)
    expect(await deliverNew.invoke(await streamEvent(tables))).toEqual({ batchItemFailures: [] })
    expect(deliverNew.sent.concat(SENT_BY_LAMBDA).sort()).toEqual(template.grantedTo("DeliverNew"))
    // TTL would delete events that are to be retried.
    const expiring = (await tables.outbox.all()).filter(
      (event) => event.status !== "completed" && timeToLive in event,
    )
    expect(expiring).toEqual([])
  })

  test("Sweep delivers what is due, retries what has failed, and recovers what has died", async () => {
    const tables = await createTables()
    await place(tables, "42", "fails", "died", "later", "new")
    await removeOrder(tables, "fails")
    const overdue = { gsiSortKey: Date.now() - 60_000 }
    await setEvent(tables, "42", overdue)
    // After the fourth attempt, the next one is eight seconds away: not within this sweep, however slow it is.
    await setEvent(tables, "fails", { retryCount: 3, ...overdue })
    const lease = { claimToken: "lost", startedOn: 1, gsiSortKey: Date.now() - 1 }
    await setEvent(tables, "died", { retryCount: 3, status: "active", ...lease })
    await setEvent(tables, "later", { gsiSortKey: Date.now() + 3_600_000 })
    const sweep = await load("Sweep", tables)

    await sweep.invoke({})
    expect(await eventOf(tables, "42")).toMatchObject({ status: "completed" })
    expect(await eventOf(tables, "fails")).toMatchObject({ status: "created", retryCount: 4 })
    expect(await eventOf(tables, "died")).toMatchObject({ status: "created", retryCount: 4 })
    expect(await eventOf(tables, "later")).toMatchObject({ status: "created", retryCount: 0 })
    // That is the stream's.
    expect(await eventOf(tables, "new")).toMatchObject({ status: "created", retryCount: 0 })
    const result = { delivered: 1, retried: 2, deadLettered: 0, released: 0, reason: "empty" }
    expect(console.log).toHaveBeenCalledWith("swept", JSON.stringify(result))
    expect(sweep.sent).toEqual(template.grantedTo("Sweep"))
  })

  test("Sweep starts nothing that it has no time for", async () => {
    const tables = await createTables()
    await place(tables, "42")
    const sweep = await load("Sweep", tables)
    await sweep.invoke({}, 0)
    expect(await eventOf(tables, "42")).toMatchObject({ status: "created" })
  })

  test("what has failed for the last time is logged so that the metric filter counts it", async () => {
    const tables = await createTables()
    await place(tables, "fails")
    await removeOrder(tables, "fails")
    await setEvent(tables, "fails", { retryCount: 4, gsiSortKey: Date.now() - 60_000 })
    const sweep = await load("Sweep", tables)

    await sweep.invoke({})
    expect(await eventOf(tables, "fails")).toMatchObject({ status: "failed", retryCount: 5 })
    const { FilterPattern } = template.resource("Undelivered").Properties
    const terms = [...FilterPattern.matchAll(/\?"([^"]+)"/g)].map(([, term]) => term)
    const lines = vi.mocked(console.error).mock.calls.map(([text]) => text)
    expect(lines).toEqual(["outbox MaxRetriesExceededError"])
    expect(terms).toContain(lines[0])
  })

  test.for([
    ["there is no such table", { OUTBOX_TABLE: "missing" }],
    ["nothing responds", { AWS_ENDPOINT_URL_DYNAMODB: "http://127.0.0.1:1" }],
  ] as const)("Sweep fails where %s, so that its alarm goes off", async ([, environment]) => {
    const sweep = await load("Sweep", await createTables(), environment)
    await expect(sweep.invoke({})).rejects.toThrow(
      /^There is no table "missing"|^Could not drain: can't read table/,
    )
    expect(console.log).not.toHaveBeenCalled()
  })

  test("DeliverNew has Lambda send again what it could not claim", async () => {
    const tables = await createTables()
    await place(tables, "42")
    const deliverNew = await load("DeliverNew", tables, { AWS_ENDPOINT_URL_DYNAMODB: "http://127.0.0.1:1" })
    expect(await deliverNew.invoke(await streamEvent(tables))).toEqual({
      batchItemFailures: [{ itemIdentifier: "1" }],
    })
  })
})

/** Where the code of a function is. */
function handlerOf(name: string) {
  const { Handler, CodeUri } = template.function(name)
  const [module, exported] = Handler.split(".") as [string, string]
  const file = `${module}.ts`
  return { path: join(FOLDER, CodeUri, file), file, exported }
}

interface Tables {
  orders: TestTable
  outbox: TestTable
  /** The name of a table, by its name in the template. */
  names: Record<string, string>
}

/** Creates both tables from the template's own properties. */
async function createTables(): Promise<Tables> {
  const client = newClient()
  const names: Record<string, string> = {}
  for (const name of template.ofType("AWS::DynamoDB::Table")) {
    const TableName = `${name}-${randomUUID()}`
    names[name] = TableName
    const {
      // These say how the table is kept. They are requests of their own, or unknown to engines.
      PointInTimeRecoverySpecification,
      DeletionProtectionEnabled,
      TimeToLiveSpecification,
      // CloudFormation has it that a table with this has a stream.
      StreamSpecification,
      ...properties
    } = template.resource(name).Properties
    await client.send(
      new CreateTableCommand({
        ...(properties as Omit<CreateTableCommandInput, "TableName">),
        TableName,
        ...(StreamSpecification && { StreamSpecification: { ...StreamSpecification, StreamEnabled: true } }),
      }),
    )
    await waitUntilTableExists({ client, maxWaitTime: 10, minDelay: 0.05, maxDelay: 0.2 }, { TableName })
  }
  const [orders, outbox] = [names.OrdersTable, names.OutboxTable] as [string, string]
  return { orders: new TestTable(orders), outbox: new TestTable(outbox), names }
}

const timeToLive: string = template.resource("OutboxTable").Properties.TimeToLiveSpecification.AttributeName

/** A function in an environment of its own, with the variables that the template gives it. */
async function load(name: string, tables: Tables, environment: Record<string, string> = {}) {
  const { Variables } = template.function(name).Environment
  for (const [variable, value] of Object.entries(Variables)) {
    vi.stubEnv(
      variable,
      typeof value === "string" ? value : value.resolve((table) => tables.names[table] ?? ""),
    )
  }
  for (const [variable, value] of Object.entries(environment)) vi.stubEnv(variable, value)
  vi.resetModules()
  const { path, exported } = handlerOf(name)
  const { [exported]: handler } = await import(path)
  const shared = await import("./outbox.ts")
  onTestFinished(() => shared.client.destroy())
  const sent = recordActions(shared.client, tables)
  return {
    shared,
    get sent() {
      return [...sent].sort()
    },
    invoke: (event: unknown, leftMs = 10_000): Promise<unknown> => {
      const endsAt = Date.now() + leftMs
      return handler(event, { getRemainingTimeInMillis: () => endsAt - Date.now() })
    },
  }
}

interface Body {
  TableName?: string
  IndexName?: string
  TransactItems?: Array<Record<"Put" | "Update" | "Delete" | "ConditionCheck", { TableName: string }>>
}

/** Which permissions the requests need that are really sent, in the notation of the template. */
function recordActions(client: DynamoDBClient, { names }: Tables): Set<string> {
  const actions = new Set<string>()
  const nameOf = (tableName: string | undefined) =>
    Object.keys(names).find((name) => names[name] === tableName) ?? tableName
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers, body } = args.request as { headers: Record<string, string>; body: string | Uint8Array }
      const operation = headers["x-amz-target"]?.split(".")[1]
      const text = typeof body === "string" ? body : new TextDecoder().decode(body)
      const { TableName, IndexName, TransactItems = [] }: Body = JSON.parse(text)
      if (operation === "TransactWriteItems") {
        for (const item of TransactItems) {
          for (const [action, write] of Object.entries(item)) {
            actions.add(`dynamodb:${action}Item on ${nameOf(write.TableName)}`)
          }
        }
      } else {
        const index = IndexName ? `/index/${IndexName}` : ""
        actions.add(`dynamodb:${operation} on ${nameOf(TableName)}${index}`)
      }
      return next(args)
    },
    { step: "deserialize", priority: "high", name: "record-actions" },
  )
  return actions
}

const order = (orderId: string) => ({ body: JSON.stringify({ orderId }) })

async function place(tables: Tables, ...orderIds: string[]): Promise<void> {
  const placeOrder = await load("PlaceOrder", tables)
  for (const orderId of orderIds) expect(await placeOrder.invoke(order(orderId))).toEqual({ statusCode: 202 })
}

/** The handler of its event then fails. */
async function removeOrder({ orders: { documents, tableName } }: Tables, orderId: string): Promise<void> {
  await documents.send(new DeleteCommand({ TableName: tableName, Key: { orderId } }))
}

async function eventOf({ outbox }: Tables, orderId: string): Promise<Item> {
  const events = (await outbox.all()).filter(({ payload }) => payload.orderId === orderId)
  expect(events).toHaveLength(1)
  return events[0] as Item
}

async function setEvent(tables: Tables, orderId: string, attributes: Item): Promise<void> {
  const { id } = await eventOf(tables, orderId)
  await tables.outbox.set(id, attributes)
}

/** What the stream has of the events that are waiting. */
async function streamEvent({ outbox: { tableName } }: Tables): Promise<{ Records: DynamoDBRecord[] }> {
  const { Items: items = [] } = await newClient().send(new ScanCommand({ TableName: tableName }))
  const images = items.filter(({ status }) => status?.S === "created") as NonNullable<
    NonNullable<DynamoDBRecord["dynamodb"]>["NewImage"]
  >[]
  return {
    Records: images.map((image, position) => ({
      eventName: "INSERT",
      dynamodb: {
        Keys: { id: image.id as { S: string } },
        NewImage: image,
        SequenceNumber: String(position + 1),
      },
    })),
  }
}

/** Events that seem to have crashed their functions twice. */
async function placeSuspects(tables: Tables): Promise<void> {
  const orderIds = Array.from({ length: 30 }, (_, i) => `suspect ${i}`)
  await place(tables, ...orderIds)
  for (const orderId of orderIds) await setEvent(tables, orderId, { crashCount: 2 })
}
