/** The way to the engine, with fates: what becomes of each attempt to send a write, as the step has it. */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import {
  type DynamoDBDocumentClient,
  TransactWriteCommand,
  type TransactWriteCommandInput,
  UpdateCommand,
  type UpdateCommandInput,
} from "@aws-sdk/lib-dynamodb"
import { clientFor } from "../../packages/dynamodb-dev/src/index.ts"
import { documentClientFor } from "../../src/database/document-client.ts"
import { ATTEMPTS } from "./circumstances.ts"
import type { Fate } from "./step.ts"

const WRITES = ["UpdateItem", "TransactWriteItems"]

/** A worker's connection: closed for good when its process ends. */
export interface Connection {
  readonly client: Pick<DynamoDBDocumentClient, "send">
  cut(): void
}

export class Wire {
  readonly client: DynamoDBClient
  readonly documents: DynamoDBDocumentClient
  /** Every write that a worker has sent, in order. */
  private past: Array<UpdateCommand | TransactWriteCommand> = []
  private fates: Fate[] = []
  private onDeath: () => void = () => {}

  constructor(endpoint: string) {
    this.client = clientFor(endpoint, { retryStrategy: retryAtOnce() })
    this.documents = documentClientFor(this.client)
    this.client.middlewareStack.add(
      (next) => async (args) => {
        const { headers } = args.request as { headers: Record<string, string> }
        const isWrite = WRITES.includes(String(headers["x-amz-target"]).split(".")[1] as string)
        return isWrite ? this.meetFate(() => next(args)) : next(args)
      },
      { step: "deserialize", priority: "high", name: "fates" },
    )
  }

  /** Forgets the past. */
  reset(): void {
    this.past = []
  }

  connect(): Connection {
    let isCut = false
    const send = (command: object) => {
      // Whatever is left of a process that has ended waits for ever.
      if (isCut) return new Promise(() => {})
      if (command instanceof UpdateCommand || command instanceof TransactWriteCommand) this.past.push(command)
      return this.documents.send(command as UpdateCommand)
    }
    return {
      client: { send } as Connection["client"],
      cut: () => {
        isCut = true
      },
    }
  }

  /** Runs `work` with these fates; resolves with "died" if the process ended in the middle of it. */
  async withFates<T>(fates: readonly Fate[] | undefined, work: () => Promise<T>): Promise<T | "died"> {
    this.fates = [...(fates ?? [])]
    const death = new Promise<"died">((resolve) => {
      this.onDeath = () => resolve("died")
    })
    const result = await Promise.race([work(), death])
    this.fates = []
    return result
  }

  /** Sends a write of the past once more. */
  async sendLate(index: number): Promise<"written" | "refused"> {
    const { input } = this.past[index] as UpdateCommand | TransactWriteCommand
    const command =
      "TransactItems" in input
        ? new TransactWriteCommand({ TransactItems: (input as TransactWriteCommandInput).TransactItems })
        : new UpdateCommand(input as UpdateCommandInput)
    try {
      await this.documents.send(command as UpdateCommand)
      return "written"
    } catch (error) {
      if (isRefusal(error)) return "refused"
      throw error
    }
  }

  private async meetFate<T>(send: () => Promise<T>): Promise<T> {
    const fate = this.fates.shift()
    if (fate === undefined) return send()
    if (fate === "lost" || fate === "dies after") await send().then(() => {}, ignoreRefusal)
    if (fate === "lost" || fate === "dropped") throw connectionLost()
    this.onDeath()
    return new Promise(() => {})
  }
}

function isRefusal(error: unknown): boolean {
  const { name } = error as Error
  return name === "ConditionalCheckFailedException" || name === "TransactionCanceledException"
}

function ignoreRefusal(error: unknown): void {
  if (!isRefusal(error)) throw error
}

function connectionLost(): Error {
  return Object.assign(new Error("socket hang up"), { code: "ECONNRESET" })
}

/** As the SDK's, without its pauses. */
function retryAtOnce() {
  const token = (count: number) => ({ getRetryCount: () => count, getRetryDelay: () => 0 })
  return {
    acquireInitialRetryToken: async () => token(0),
    refreshRetryTokenForRetry: async (last: { getRetryCount(): number }, { error }: { error?: unknown }) => {
      const isLost = (error as { code?: string } | undefined)?.code === "ECONNRESET"
      const count = last.getRetryCount() + 1
      if (!isLost || count >= ATTEMPTS) throw new Error("no more attempts")
      return token(count)
    },
    recordSuccess: () => {},
  }
}
