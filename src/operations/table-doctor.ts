/**
 * Says what is wrong with a table that can't be read, in place of the same error of DynamoDB's with every poll: the table is
 * described once, only after a read has failed in a way that a wrong table or index causes.
 */
import { DescribeTableCommand, type DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { ConfigurationError } from "outbox-event-bus"
import { isNamed } from "../database/dynamodb-errors.ts"
import { judgeTable, missingTable } from "./table-check.ts"

const CAUSES = ["ResourceNotFoundException", "ValidationException"]

export class TableDoctor {
  /** The last one, until the table can be read again; undefined inside where nothing can be said. */
  private diagnosis: Promise<ConfigurationError | undefined> | undefined

  constructor(
    private readonly client: DynamoDBClient,
    private readonly index: { readonly tableName: string; readonly statusIndexName: string },
  ) {}

  /**
   * @param error - What a read has failed with.
   * @returns the error that says what is wrong, the same one each time; or `error` where that can't be known.
   */
  async explained(error: unknown): Promise<unknown> {
    if (!CAUSES.some((name) => isNamed(error, name))) return error
    this.diagnosis ??= this.diagnose(error)
    return (await this.diagnosis) ?? error
  }

  /** The table has been read. */
  isWell(): void {
    this.diagnosis = undefined
  }

  private async diagnose(cause: unknown): Promise<ConfigurationError | undefined> {
    const { tableName, statusIndexName } = this.index
    try {
      const response = await this.client.send(new DescribeTableCommand({ TableName: tableName }))
      const table = response?.Table
      const findings = table ? judgeTable({ table }, { tableName, statusIndexName }) : []
      return refusal(findings, cause)
    } catch (error) {
      // Without the permission, nothing is known.
      return isNamed(error, "ResourceNotFoundException")
        ? refusal([missingTable(tableName)], cause)
        : undefined
    }
  }
}

function refusal(findings: ReturnType<typeof judgeTable>, cause: unknown): ConfigurationError | undefined {
  const errors = findings.filter(({ severity }) => severity === "error")
  if (errors.length === 0) return undefined
  const text = errors.map(({ message, fix }) => `${message}${fix ? ` To fix it: ${fix}` : ""}`).join(" ")
  return new ConfigurationError(text, { cause })
}
