/** Whether a table is what the outbox needs: pure, on what DynamoDB says of it. */
import type {
  DescribeContinuousBackupsCommandOutput,
  GlobalSecondaryIndexDescription,
  KeySchemaElement,
  TableDescription,
  TimeToLiveDescription,
} from "@aws-sdk/client-dynamodb"

/** The keys of table and index, with DynamoDB's types. */
const TABLE_KEYS = { table: { id: "S" }, index: { status: "S", gsiSortKey: "N" } }

/** Something about a table. */
export interface Finding {
  /** "error": the outbox can't work. "warning": it works, but not as it should. "info": a choice that one should know of. */
  severity: "error" | "warning" | "info"
  /** A name for it that stays the same. */
  code: string
  /** What is found, and what it means. */
  message: string
  /** A command or a step that fixes it. */
  fix?: string
}

/** What is known of a table. What could not be asked is undefined. */
export interface TableFacts {
  table: TableDescription
  ttl?: TimeToLiveDescription | undefined
  backups?: DescribeContinuousBackupsCommandOutput["ContinuousBackupsDescription"]
}

/** What the outbox is configured with. */
export interface Expectations {
  tableName: string
  statusIndexName: string
  /** The attribute of the option `completedEvents`, where delivered events expire. */
  ttlAttribute?: string | undefined
}

/** @returns the findings, the worst first; none for a table without fault. */
export function judgeTable(facts: TableFacts, expected: Expectations): Finding[] {
  const findings = [
    ...judgeState(facts, expected),
    ...judgeKey(facts, expected),
    ...judgeIndex(facts, expected),
    ...judgeTtl(facts, expected),
    ...judgeSafety(facts, expected),
    ...judgeRest(facts),
  ]
  const order = ["error", "warning", "info"]
  return findings.sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity))
}

export function missingTable(tableName: string): Finding {
  return {
    severity: "error",
    code: "table-missing",
    message: `There is no table "${tableName}" in this account and region.`,
    fix: `dynamodb-outbox create-table --table ${tableName}`,
  }
}

function judgeState({ table }: TableFacts, { tableName }: Expectations): Finding[] {
  const { TableStatus: status } = table
  if (status === "ACTIVE" || status === "UPDATING") return []
  return [
    {
      severity: "error",
      code: "table-not-active",
      message: `Table "${tableName}" is ${status}: it can't be used yet, or any more.`,
      fix: `aws dynamodb wait table-exists --table-name ${tableName}`,
    },
  ]
}

function judgeKey({ table }: TableFacts, { tableName }: Expectations): Finding[] {
  const found = keysOf(table.KeySchema, table)
  if (isSame(found, TABLE_KEYS.table)) return []
  return [
    {
      severity: "error",
      code: "wrong-key",
      message: `The primary key of "${tableName}" is ${text(found)}; it must be ${text(TABLE_KEYS.table)} alone. A key can't be changed.`,
      fix: "Create a table of its own for the outbox: dynamodb-outbox create-table. Transactions can span tables.",
    },
  ]
}

function judgeIndex({ table }: TableFacts, expected: Expectations): Finding[] {
  const { tableName, statusIndexName } = expected
  const indexes = table.GlobalSecondaryIndexes ?? []
  const index = indexes.find(({ IndexName }) => IndexName === statusIndexName)
  if (!index) return [missingIndex(indexes, expected)]
  const findings: Finding[] = []
  const found = keysOf(index.KeySchema, table)
  if (!isSame(found, TABLE_KEYS.index)) {
    findings.push({
      severity: "error",
      code: "wrong-index-key",
      message: `The key of index "${statusIndexName}" is ${text(found)}; it must be ${text(TABLE_KEYS.index)}, in this order.`,
      fix: `Create an index with that key under another name, and set the option statusIndexName: ${createIndex(tableName, "status-gsiSortKey-index-2")}`,
    })
  }
  if (index.IndexStatus !== undefined && index.IndexStatus !== "ACTIVE") {
    findings.push({
      severity: "error",
      code: "index-not-active",
      message: `Index "${statusIndexName}" is ${index.IndexStatus}${index.Backfilling ? " and being filled" : ""}: until it is active, nothing is delivered.`,
      fix: `Wait: aws dynamodb describe-table --table-name ${tableName} --query "Table.GlobalSecondaryIndexes"`,
    })
  }
  return findings
}

/** An index with the right keys under another name is the most likely slip. */
function missingIndex(
  indexes: GlobalSecondaryIndexDescription[],
  { tableName, statusIndexName }: Expectations,
): Finding {
  const names = indexes.map(({ IndexName }) => `"${IndexName}"`).join(", ")
  return {
    severity: "error",
    code: "index-missing",
    message: `Table "${tableName}" has no index "${statusIndexName}"; ${names ? `it has ${names}` : "it has none"}. Nothing can be delivered.`,
    fix: names
      ? `Set the option statusIndexName, or create the index: ${createIndex(tableName, statusIndexName)}`
      : createIndex(tableName, statusIndexName),
  }
}

function createIndex(tableName: string, indexName: string): string {
  const attributes = "AttributeName=status,AttributeType=S AttributeName=gsiSortKey,AttributeType=N"
  const create = JSON.stringify([
    {
      Create: {
        IndexName: indexName,
        KeySchema: [
          { AttributeName: "status", KeyType: "HASH" },
          { AttributeName: "gsiSortKey", KeyType: "RANGE" },
        ],
        Projection: { ProjectionType: "KEYS_ONLY" },
      },
    },
  ])
  return `aws dynamodb update-table --table-name ${tableName} --attribute-definitions ${attributes} --global-secondary-index-updates '${create}'`
}

function judgeTtl({ ttl }: TableFacts, { tableName, ttlAttribute }: Expectations): Finding[] {
  if (!ttl) return []
  const isOn = ttl.TimeToLiveStatus === "ENABLED" || ttl.TimeToLiveStatus === "ENABLING"
  const found = isOn ? ttl.AttributeName : undefined
  if (found !== undefined && OWN_ATTRIBUTES.has(found)) {
    return [
      {
        severity: "error",
        code: "ttl-deletes-undelivered",
        message: `The TTL of "${tableName}" looks at "${found}", which the outbox sets on events that are not delivered: they may be deleted.`,
        fix: disableTtl(tableName, found),
      },
    ]
  }
  if (ttlAttribute === undefined || found === ttlAttribute) {
    if (found === undefined || found === ttlAttribute) return []
    return [
      {
        severity: "info",
        code: "ttl-unused",
        message: `The TTL of "${tableName}" looks at "${found}". Unless completedEvents: { expireAfterDays, attribute: "${found}" } is set, nothing expires.`,
      },
    ]
  }
  return [
    {
      severity: "warning",
      code: "ttl-missing",
      message: `completedEvents sets "${ttlAttribute}", but the TTL of "${tableName}" ${found === undefined ? "is off" : `looks at "${found}"`}: delivered events never expire.`,
      fix: `aws dynamodb update-time-to-live --table-name ${tableName} --time-to-live-specification Enabled=true,AttributeName=${ttlAttribute}`,
    },
  ]
}

const OWN_ATTRIBUTES = new Set(["gsiSortKey", "startedOn", "nextRetryAt", "retryCount", "crashCount"])

function disableTtl(tableName: string, attribute: string): string {
  return `aws dynamodb update-time-to-live --table-name ${tableName} --time-to-live-specification Enabled=false,AttributeName=${attribute}`
}

function judgeSafety({ table, backups }: TableFacts, { tableName }: Expectations): Finding[] {
  const findings: Finding[] = []
  if (table.DeletionProtectionEnabled !== true) {
    findings.push({
      severity: "warning",
      code: "no-deletion-protection",
      message: `Table "${tableName}" can be deleted by a single command, with all events that are not delivered.`,
      fix: `aws dynamodb update-table --table-name ${tableName} --deletion-protection-enabled`,
    })
  }
  const recovery = backups?.PointInTimeRecoveryDescription?.PointInTimeRecoveryStatus
  if (recovery === "DISABLED") {
    findings.push({
      severity: "warning",
      code: "no-point-in-time-recovery",
      message: `Table "${tableName}" has no point-in-time recovery: what is lost by mistake can't be restored.`,
      fix: `aws dynamodb update-continuous-backups --table-name ${tableName} --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true`,
    })
  }
  return findings
}

function judgeRest({ table }: TableFacts): Finding[] {
  const findings: Finding[] = []
  const mode = table.BillingModeSummary?.BillingMode ?? "PROVISIONED"
  if (mode === "PROVISIONED") {
    findings.push({
      severity: "info",
      code: "provisioned",
      message:
        "The capacity is provisioned. The index needs as many write units as the table; without auto scaling for both, bursts are throttled.",
    })
  }
  const stream = table.StreamSpecification
  if (stream?.StreamEnabled) {
    findings.push({
      severity: "info",
      code: "stream",
      message: `The table has a stream (${stream.StreamViewType}).`,
    })
  }
  return findings
}

type Keys = Record<string, string>

function keysOf(
  schema: KeySchemaElement[] | undefined,
  { AttributeDefinitions = [] }: TableDescription,
): Keys {
  const types = new Map(
    AttributeDefinitions.map(({ AttributeName, AttributeType }) => [AttributeName, AttributeType]),
  )
  const inOrder = [...(schema ?? [])].sort((a) => (a.KeyType === "HASH" ? -1 : 1))
  return Object.fromEntries(inOrder.map(({ AttributeName: name = "" }) => [name, types.get(name) ?? "?"]))
}

function isSame(a: Keys, b: Keys): boolean {
  return JSON.stringify(Object.entries(a)) === JSON.stringify(Object.entries(b))
}

const TYPES: Record<string, string> = { S: "String", N: "Number", B: "Binary" }

function text(keys: Keys): string {
  return Object.entries(keys)
    .map(([name, type]) => `${name} (${TYPES[type] ?? "?"})`)
    .join(", ")
}
