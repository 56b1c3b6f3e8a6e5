/** The operator on a mocked client: which requests it sends, and what it makes of their responses. */
import {
  DescribeContinuousBackupsCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
} from "@aws-sdk/client-dynamodb"
import {
  DeleteCommand,
  GetCommand,
  QueryCommand,
  type QueryCommandInput,
  ScanCommand,
  UpdateCommand,
} from "@aws-sdk/lib-dynamodb"
import { describe, expect, it, vi } from "vitest"
import { NOW, useFakeClock } from "../test/fake-clock.fixture.ts"
import { named, refused } from "../test/outbox.fixture.ts"
import { OutboxOperator, type OutboxOperatorConfig } from "./outbox-operator.ts"
import { createOutboxTable, outboxTableDefinition } from "./table-definition.ts"

useFakeClock()

type Answer = (input: never) => unknown

/** @param answers - By the class of the command. */
function operatorWith(
  answers: [command: unknown, answer: Answer][],
  more: Partial<OutboxOperatorConfig> = {},
) {
  const sent: object[] = []
  const send = vi.fn(async (command: { input: never }) => {
    sent.push(command)
    const [, answer] = answers.find(([kind]) => command instanceof (kind as never)) ?? []
    if (!answer) throw new Error(`An unexpected command: ${command.constructor.name}`)
    return answer(command.input)
  })
  const operator = new OutboxOperator({ client: { send } as never, tableName: "outbox", ...more })
  const inputsOf = (kind: unknown) =>
    sent
      .filter((command) => command instanceof (kind as never))
      .map((command) => (command as { input: object }).input)
  return { operator, send, sent, inputsOf }
}

const row = (id: string) => ({ id, status: "failed", gsiSortKey: NOW })
const letter = (id: string, lastError = "no") => ({
  ...row(id),
  type: "order.placed",
  payload: {},
  occurredAt: new Date(NOW).toISOString(),
  retryCount: 5,
  lastError,
})

/** Two pages of dead letters. */
const pages: Answer = ({ ExclusiveStartKey }: QueryCommandInput) =>
  ExclusiveStartKey ? { Items: [row("c")] } : { Items: [row("a"), row("b")], LastEvaluatedKey: { id: "b" } }
const items: Answer = ({ Key: { id } }: { Key: { id: string } }) => ({ Item: letter(id) })

async function idsOf(letters: AsyncIterable<{ id: string }>): Promise<string[]> {
  const ids = []
  for await (const { id } of letters) ids.push(id)
  return ids
}

describe("dead letters", () => {
  it("are read page by page, each as it is now", async () => {
    const { operator, inputsOf } = operatorWith([
      [QueryCommand, pages],
      [GetCommand, items],
    ])
    expect(await idsOf(operator.deadLetters())).toEqual(["a", "b", "c"])
    expect(inputsOf(QueryCommand)).toMatchObject([
      { ScanIndexForward: false, Limit: 100 },
      { ExclusiveStartKey: { id: "b" } },
    ])
    expect(inputsOf(GetCommand)).toHaveLength(3)
  })

  it("that are none any more, or no events, are left out", async () => {
    const now: Record<string, object | undefined> = {
      a: { ...letter("a"), status: "created" },
      b: { id: "b", status: "failed" },
    }
    const { operator } = operatorWith([
      [QueryCommand, pages],
      [
        GetCommand,
        ({ Key: { id } }: { Key: { id: string } }) => ({ Item: id === "c" ? letter("c") : now[id] }),
      ],
    ])
    expect(await idsOf(operator.deadLetters())).toEqual(["c"])
  })

  it("are asked for by the time of their occurrence where that is given", async () => {
    const { operator, inputsOf } = operatorWith([[QueryCommand, () => ({ Items: [] })]])
    await idsOf(operator.deadLetters({ occurredAfter: new Date(1000), occurredBefore: new Date(2000) }))
    await idsOf(operator.deadLetters({ occurredBefore: new Date(2000) }))
    await idsOf(operator.deadLetters({ occurredAfter: new Date(1000) }))
    expect(inputsOf(QueryCommand)).toMatchObject([
      { ExpressionAttributeValues: { ":from": 1000, ":now": 1999 } },
      { ExpressionAttributeValues: { ":from": Number.MIN_SAFE_INTEGER, ":now": 1999 } },
      { ExpressionAttributeValues: { ":from": 1000, ":now": Number.MAX_SAFE_INTEGER } },
    ])
  })

  it("that can't be read are an error, not an end of the list", async () => {
    const { operator } = operatorWith([
      [QueryCommand, pages],
      [GetCommand, () => Promise.reject(new Error("throttled"))],
    ])
    await expect(idsOf(operator.deadLetters())).rejects.toThrow("throttled")
  })

  it("are counted, the largest group first", async () => {
    const { operator } = operatorWith([
      [QueryCommand, pages],
      [
        GetCommand,
        ({ Key: { id } }: { Key: { id: string } }) => ({ Item: letter(id, id === "a" ? "one" : "two") }),
      ],
    ])
    expect(await operator.countDeadLetters()).toMatchObject([
      { errorKind: "two", count: 2 },
      { errorKind: "one", count: 1 },
    ])
  })

  it("are retried without being read where the index tells enough", async () => {
    const { operator, inputsOf } = operatorWith([
      [QueryCommand, pages],
      [
        UpdateCommand,
        ({ Key: { id } }: { Key: { id: string } }) => {
          if (id === "b") throw refused()
        },
      ],
    ])
    expect(await operator.retry({})).toEqual({ retried: 2, skipped: 1 })
    expect(inputsOf(UpdateCommand)).toHaveLength(3)
  })

  it("are chosen by their items where they have to be", async () => {
    const { operator, inputsOf } = operatorWith([
      [QueryCommand, pages],
      [GetCommand, ({ Key: { id } }: { Key: { id: string } }) => ({ Item: letter(id, id) })],
      [UpdateCommand, () => {}],
    ])
    expect(await operator.retry({ error: "c" })).toEqual({ retried: 1, skipped: 0 })
    expect(inputsOf(UpdateCommand)).toMatchObject([{ Key: { id: "c" } }])
  })

  it("are discarded, or deleted, like delivered events", async () => {
    const answers: [unknown, Answer][] = [
      [UpdateCommand, () => {}],
      [DeleteCommand, () => {}],
    ]
    const kept = operatorWith(answers)
    expect(await kept.operator.discard(["a", "a"], { reason: "old" })).toEqual({ discarded: 1, skipped: 0 })
    expect(kept.inputsOf(UpdateCommand)).toMatchObject([
      { ExpressionAttributeValues: { ":set_discardReason": "old", ":set_discardedOn": NOW } },
    ])
    const deleting = operatorWith(answers, { completedEvents: "delete" })
    await deleting.operator.discard(["a"], { reason: "old" })
    expect(deleting.inputsOf(DeleteCommand)).toHaveLength(1)
    for (const reason of ["", " ", "x".repeat(1001), undefined as never]) {
      await expect(kept.operator.discard(["a"], { reason })).rejects.toThrow("Invalid reason")
    }
    await expect(kept.operator.retry([""])).rejects.toThrow("The selection of dead letters")
  })
})

describe("scans", () => {
  const twoPages =
    (...found: object[]): Answer =>
    ({ ExclusiveStartKey }: { ExclusiveStartKey?: object }) =>
      ExclusiveStartKey ? { Items: [] } : { Items: found, LastEvaluatedKey: { id: "x" } }

  it("repair what is hidden, under the time of its occurrence, or now where that can't be read", async () => {
    const { operator, inputsOf } = operatorWith([
      [
        ScanCommand,
        twoPages({ id: "a", occurredAt: new Date(5000).toISOString() }, { id: "b", occurredAt: "?" }),
      ],
      [UpdateCommand, () => {}],
    ])
    expect(await operator.repair()).toEqual({ repaired: 2, skipped: 0 })
    expect(inputsOf(ScanCommand)).toHaveLength(2)
    expect(inputsOf(UpdateCommand)).toMatchObject([
      { Key: { id: "a" }, ExpressionAttributeValues: { ":set_gsiSortKey": 5000 } },
      { Key: { id: "b" }, ExpressionAttributeValues: { ":set_gsiSortKey": NOW } },
    ])
  })

  it("purge what was completed before a time", async () => {
    const { operator, inputsOf } = operatorWith([
      [ScanCommand, twoPages({ id: "a" })],
      [DeleteCommand, () => {}],
    ])
    expect(await operator.purge(new Date(1000))).toEqual({ purged: 1, skipped: 0 })
    expect(inputsOf(ScanCommand)[0]).toMatchObject({
      ExpressionAttributeValues: { ":completed": "completed", ":before": 1000 },
    })
    expect(inputsOf(DeleteCommand)).toMatchObject([
      { ExpressionAttributeValues: { ":completedBefore": 1000 } },
    ])
    for (const time of [new Date("never"), "yesterday" as never]) {
      await expect(operator.purge(time)).rejects.toThrow("Invalid completedBefore")
    }
  })
})

it("the backlog counts up to a limit, over pages", async () => {
  const { operator } = operatorWith([
    [
      QueryCommand,
      ({ Select, ExpressionAttributeValues, Limit = 0, ExclusiveStartKey }: QueryCommandInput) => {
        if (!Select) return { Items: [{ id: "a", gsiSortKey: NOW - 7000 }, { id: "b" }] }
        const isDue = ExpressionAttributeValues?.[":status"] === "created"
        if (!isDue) return { Count: 0 }
        return {
          Count: Math.min(Limit, 4),
          ...(!ExclusiveStartKey || Limit < 4 ? { LastEvaluatedKey: { id: "x" } } : {}),
        }
      },
    ],
    [
      GetCommand,
      ({ Key: { id } }: { Key: { id: string } }) => ({
        Item: id === "a" ? { occurredAt: new Date(NOW - 9000).toISOString() } : undefined,
      }),
    ],
  ])
  expect(await operator.getBacklog({ countUpTo: 6 })).toEqual({
    at: new Date(NOW),
    due: { count: 6, isCapped: true },
    active: { count: 0, isCapped: false },
    overdue: { count: 0, isCapped: false },
    failed: { count: 0, isCapped: false },
    dueForMs: 7000,
    occurredAgoMs: 9000,
  })
  expect((await operator.getBacklog()).due).toEqual({ count: 8, isCapped: false })
  for (const countUpTo of [0, 1.5, Number.NaN]) {
    await expect(operator.getBacklog({ countUpTo })).rejects.toThrow("Invalid countUpTo")
  }
})

it("an event is shown as it is stored, and one that is not there is undefined", async () => {
  const { operator } = operatorWith([
    [
      GetCommand,
      ({ Key: { id } }: { Key: { id: string } }) => ({ Item: id === "a" ? letter("a") : undefined }),
    ],
  ])
  expect(await operator.find("a")).toEqual(letter("a"))
  expect(await operator.find("b")).toBeUndefined()
})

describe("the check of the table", () => {
  const table = { Table: { ...outboxTableDefinition({ tableName: "outbox" }), TableStatus: "ACTIVE" } }

  it("leaves out what may not be asked", async () => {
    const denied = () => Promise.reject(named("AccessDeniedException"))
    const { operator } = operatorWith([
      [DescribeTableCommand, () => table],
      [DescribeTimeToLiveCommand, denied],
      [DescribeContinuousBackupsCommand, denied],
    ])
    expect((await operator.checkTable()).map(({ code }) => code)).toEqual(["provisioned"])
  })

  it("knows the attribute by which delivered events expire", async () => {
    const { operator } = operatorWith(
      [
        [DescribeTableCommand, () => table],
        [DescribeTimeToLiveCommand, () => ({ TimeToLiveDescription: { TimeToLiveStatus: "DISABLED" } })],
        [DescribeContinuousBackupsCommand, () => ({})],
      ],
      { completedEvents: { expireAfterDays: 1, attribute: "ttl" } },
    )
    expect((await operator.checkTable())[0]).toMatchObject({
      code: "ttl-missing",
      message: expect.stringContaining('"ttl"'),
    })
  })

  it("says that there is none, and passes on any other error", async () => {
    const missing = operatorWith([
      [DescribeTableCommand, () => Promise.reject(named("ResourceNotFoundException"))],
    ])
    expect(await missing.operator.checkTable()).toMatchObject([{ code: "table-missing" }])
    const denied = operatorWith([
      [DescribeTableCommand, () => Promise.reject(named("AccessDeniedException"))],
    ])
    await expect(denied.operator.checkTable()).rejects.toThrow("AccessDeniedException")
  })
})

describe("createOutboxTable", () => {
  async function create(options: object, onBackups: () => unknown = () => ({})) {
    const names: string[] = []
    const send = vi.fn(async (command: { constructor: { name: string } }) => {
      names.push(command.constructor.name)
      if (command.constructor.name === "UpdateContinuousBackupsCommand") return onBackups()
      return { Table: { TableStatus: "ACTIVE" } }
    })
    await createOutboxTable({ send } as never, { tableName: "outbox", ...options })
    return names
  }

  it("creates the table, and then what can be set only afterwards", async () => {
    expect(await create({ ttlAttribute: "expiresAt" })).toEqual([
      "CreateTableCommand",
      "DescribeTableCommand",
      "UpdateTimeToLiveCommand",
      "UpdateContinuousBackupsCommand",
    ])
    expect(await create({ pointInTimeRecovery: false })).toEqual([
      "CreateTableCommand",
      "DescribeTableCommand",
    ])
  })

  it("leaves local engines without backups, and passes on any other error", async () => {
    await create({}, () => Promise.reject(named("UnknownOperationException")))
    await expect(create({}, () => Promise.reject(named("AccessDeniedException")))).rejects.toThrow(
      "AccessDenied",
    )
  })
})
