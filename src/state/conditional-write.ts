/** Builds the input of a conditional write: placeholders for every name and value, none that is not used. */
import type { DeleteCommandInput, UpdateCommandInput } from "@aws-sdk/lib-dynamodb"

export interface Change {
  set: Record<string, unknown> & { status: string }
  remove?: readonly string[]
  /** Counters, and by how much to raise them. */
  add?: Record<string, number>
}

interface ConditionalChange extends Change {
  condition: string
  values: Record<string, unknown>
  returnItem?: boolean
  /** Whether the error of a refused write carries the item as it is. */
  returnRefused?: boolean
}

/** Deletes an item on a condition. */
export function remove(
  tableName: string,
  id: string,
  condition: string,
  values: Record<string, unknown>,
): DeleteCommandInput {
  return {
    TableName: tableName,
    Key: { id },
    ConditionExpression: condition,
    ExpressionAttributeNames: namesOf(condition),
    ExpressionAttributeValues: Object.fromEntries(
      Object.entries(values).map(([name, value]) => [`:${name}`, value]),
    ),
  }
}

function namesOf(condition: string): Record<string, string> {
  return Object.fromEntries(
    [...condition.matchAll(/#(\w+)/g)].map(([placeholder, name = ""]) => [placeholder, name]),
  )
}

export function update(
  tableName: string,
  id: string,
  {
    set,
    remove = [],
    add = {},
    condition,
    values,
    returnItem = false,
    returnRefused = false,
  }: ConditionalChange,
): UpdateCommandInput {
  const clauses = {
    SET: Object.keys(set).map((name) => `#${name} = :set_${name}`),
    REMOVE: remove.map((name) => `#${name}`),
    ADD: Object.keys(add).map((name) => `#${name} :add_${name}`),
  }
  const names = [...Object.keys(set), ...remove, ...Object.keys(add)]
  return {
    TableName: tableName,
    Key: { id },
    UpdateExpression: Object.entries(clauses)
      .filter(([, parts]) => parts.length > 0)
      .map(([clause, parts]) => `${clause} ${parts.join(", ")}`)
      .join(" "),
    ConditionExpression: condition,
    ExpressionAttributeNames: {
      ...Object.fromEntries(names.map((name) => [`#${name}`, name])),
      ...namesOf(condition),
    },
    ExpressionAttributeValues: {
      ...Object.fromEntries(Object.entries(set).map(([name, value]) => [`:set_${name}`, value])),
      ...Object.fromEntries(Object.entries(add).map(([name, value]) => [`:add_${name}`, value])),
      ...Object.fromEntries(Object.entries(values).map(([name, value]) => [`:${name}`, value])),
    },
    ...(returnItem && { ReturnValues: "ALL_NEW" as const }),
    ...(returnRefused && { ReturnValuesOnConditionCheckFailure: "ALL_OLD" as const }),
  }
}
