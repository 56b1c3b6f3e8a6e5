/** An outbox on a bare `{ send }` that answers by the kind of request, and a record of what was sent. */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import {
  GetCommand,
  QueryCommand,
  type QueryCommandInput,
  TransactWriteCommand,
  UpdateCommand,
  type UpdateCommandInput,
} from "@aws-sdk/lib-dynamodb"
import type { BusEvent, OutboxError } from "outbox-event-bus"
import { vi } from "vitest"
import type { DynamoDBAwsSdkOutboxConfig } from "../config.ts"
import { DynamoDBAwsSdkOutbox } from "../dynamodb-aws-sdk-outbox.ts"
import type { Item } from "../item/event-item.ts"
import { CONDITIONS } from "../state/transitions.ts"
import { NOW } from "./fake-clock.fixture.ts"

export type Step =
  | "due"
  | "stuck"
  | "failed"
  | "publish"
  | "get"
  | "claim"
  | "renew"
  | "release"
  | "fence"
  | "fail"
  | "complete"
  | "recover"
  | "setAside"
  | "retry"

/** What tests look at in the inputs of all commands. */
interface SentInput {
  Key: { id: string }
  ExpressionAttributeValues: Record<string, unknown>
  TransactItems: { Put: { Item: Item & { payload: object } } }[]
}

interface Sent {
  step: Step
  input: SentInput
}

/** What kind of request a command is. */
function stepOf(command: unknown): Step {
  if (command instanceof TransactWriteCommand) return "publish"
  if (command instanceof GetCommand) return "get"
  if (command instanceof QueryCommand) return queryStep(command.input)
  if (command instanceof UpdateCommand) return updateStep(command.input)
  throw new Error(`An unexpected command: ${command}`)
}

function queryStep({ ExpressionAttributeValues }: QueryCommandInput): Step {
  const status = ExpressionAttributeValues?.[":status"]
  return status === "created" ? "due" : status === "active" ? "stuck" : "failed"
}

function updateStep({ ConditionExpression = "", ExpressionAttributeValues }: UpdateCommandInput): Step {
  const isFailure = ":set_lastError" in (ExpressionAttributeValues ?? {})
  if (ConditionExpression.includes(CONDITIONS.due))
    return ConditionExpression.includes(CONDITIONS.mine) ? "fence" : "claim"
  if (ConditionExpression.includes(CONDITIONS.leaseExpired)) return "recover"
  if (ConditionExpression.startsWith(CONDITIONS.asRecovered)) return "setAside"
  if (ConditionExpression.startsWith(CONDITIONS.failed)) return "retry"
  if (ConditionExpression.endsWith(CONDITIONS.uncompleted)) return "complete"
  if (isFailure) return "fail"
  return ExpressionAttributeValues?.[":set_status"] === "active" ? "renew" : "release"
}

export const named = (name: string, more: object = {}): Error =>
  Object.assign(new Error(name), { name }, more)
export const refused = (): Error => named("ConditionalCheckFailedException")

export const event = (id: string, more: Partial<BusEvent> = {}): BusEvent => ({
  id,
  type: "order.placed",
  payload: { id },
  occurredAt: new Date(NOW - 60_000),
  ...more,
})

/** An item as the table holds it. */
export const item = (id: string, more: Item = {}): Item => ({
  id,
  type: "order.placed",
  payload: { id },
  occurredAt: new Date(NOW - 60_000).toISOString(),
  status: "created",
  retryCount: 0,
  gsiSortKey: NOW - 60_000,
  ...more,
})

type Answers = Partial<Record<Step, (input: Sent["input"], call: number) => unknown>>

/** @param answers - What is answered; nothing, as by a mock that has run out, where it does not say. */
export function createOutbox(answers: Answers = {}, options: Partial<DynamoDBAwsSdkOutboxConfig> = {}) {
  const sent: Sent[] = []
  const send = vi.fn(async (command: unknown) => {
    const step = stepOf(command)
    const call = sent.filter((other) => other.step === step).length
    const { input } = command as Sent
    sent.push({ step, input })
    return answers[step]?.(input, call)
  })
  const client = { send } as unknown as DynamoDBClient
  const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: "outbox", ...options })
  const errors: OutboxError[] = []
  const handled: string[] = []
  let work: (event: BusEvent) => Promise<void> = async () => {}
  return {
    outbox,
    send,
    sent,
    errors,
    handled,
    steps: () => sent.map(({ step }) => step),
    inputsOf: (wanted: Step) => sent.filter(({ step }) => step === wanted).map(({ input }) => input),
    onEvent: (does: typeof work) => {
      work = does
    },
    start: () =>
      outbox.start(
        async (busEvent) => {
          handled.push(busEvent.id)
          await work(busEvent)
        },
        (error) => errors.push(error),
      ),
  }
}

/** Answers of an index and a table that hold these items, each due once; the claim returns the whole item. */
export function holding(...items: Item[]): Answers {
  return {
    due: (_, call) => ({ Items: call === 0 ? items.map(({ id, gsiSortKey }) => ({ id, gsiSortKey })) : [] }),
    claim: ({ Key }) => ({ Attributes: items.find(({ id }) => id === Key.id) }),
  }
}
