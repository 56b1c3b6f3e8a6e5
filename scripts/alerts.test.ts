/** The alert rules ask for metrics that the code emits, or that exist for a table. */
import { readFileSync } from "node:fs"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics"
import { describe, expect, it } from "vitest"
import { parse } from "yaml"
import { Reference, SamTemplate } from "../e2e/fixture/sam-template.ts"
import { instrumentOutbox, METRICS } from "../src/opentelemetry.ts"
import { Diagnostics } from "../src/process/diagnostics.ts"

/** As the OpenTelemetry exporter for Prometheus names them. */
const PROMETHEUS = new Set(
  Object.values(METRICS).map((name) => {
    const base = name.replaceAll(".", "_")
    return name === METRICS.processDuration ? `${base}_seconds_bucket` : `${base}_total`
  }),
)

it("each rule for Prometheus has an expression on known metrics, and says what to do", () => {
  const { groups } = parse(readFileSync("examples/infrastructure/alerts.prometheus.yml", "utf8"))
  const rules = groups.flatMap(({ rules }: { rules: object[] }) => rules)
  expect(rules.length).toBeGreaterThan(3)
  for (const { alert, expr, annotations } of rules) {
    const used: string[] = expr.match(/\b(?:dynamodb_outbox|messaging)_\w+/g) ?? []
    expect(used, alert).not.toEqual([])
    for (const name of used) expect(PROMETHEUS, alert).toContain(name)
    expect(annotations).toEqual({ summary: expect.any(String), action: expect.any(String) })
  }
})

/** Of those that DynamoDB sends to CloudWatch, the ones that alarms use, with the dimensions that it sends them with. */
const DYNAMODB: Record<string, string[][]> = {
  ReadThrottleEvents: [["TableName"], ["TableName", "GlobalSecondaryIndexName"]],
  WriteThrottleEvents: [["TableName"], ["TableName", "GlobalSecondaryIndexName"]],
}

interface Metric {
  Namespace: string | Reference
  MetricName: string
  Dimensions: Array<{ Name: string; Value: string | Reference }>
}

interface MetricQuery {
  Id: string
  Expression?: string
  ReturnData?: boolean
  MetricStat?: { Metric: Metric; Period: number; Stat: string }
}

interface Declaration {
  metric_name_selectors: string[]
  dimensions: string[][]
}

describe("the alarms for CloudWatch", () => {
  const template = new SamTemplate("examples/infrastructure/alarms.cloudformation.yml")
  const collector = parse(readFileSync("examples/infrastructure/collector.cloudwatch.yml", "utf8"))
  const { namespace, metric_declarations, metric_descriptors } = collector.exporters.awsemf
  const alarms = template.ofType("AWS::CloudWatch::Alarm")

  const metricsOf = (alarm: string): Metric[] => {
    const { Properties } = template.resource(alarm)
    const queries: MetricQuery[] | undefined = Properties.Metrics
    return queries?.flatMap(({ MetricStat }) => MetricStat?.Metric ?? []) ?? [Properties as Metric]
  }
  const used = alarms.flatMap((alarm) => metricsOf(alarm).map((metric) => ({ alarm, metric })))
  const own = used.filter(({ metric }) => metric.Namespace !== "AWS/DynamoDB")
  const namesOf = ({ Dimensions }: Metric) => Dimensions.map(({ Name }) => Name)

  it("refer only to what there is, say what to do, and tell somebody", () => {
    expect(alarms.length).toBeGreaterThan(5)
    expect(template.referredNames.filter((name) => !template.names.includes(name))).toEqual([])
    for (const alarm of alarms) {
      expect(template.resource(alarm).Properties, alarm).toMatchObject({
        AlarmDescription: expect.any(String),
        AlarmActions: [Reference.to("TopicArn")],
        TreatMissingData: expect.stringMatching(/^(notBreaching|breaching)$/),
      })
    }
  })

  it("use metrics that DynamoDB sends, with all dimensions of the alarm", () => {
    const ofTables = used.filter(({ metric }) => metric.Namespace === "AWS/DynamoDB")
    expect(ofTables).not.toEqual([])
    for (const { alarm, metric } of ofTables) {
      expect(DYNAMODB[metric.MetricName], alarm).toContainEqual(namesOf(metric))
    }
  })

  it("use metrics that the code emits, with the attributes that they have", async () => {
    const emitted = await emittedMetrics("outbox")
    expect(own).not.toEqual([])
    for (const { alarm, metric } of own) {
      const dimensions = metric.Dimensions.map(({ Name, Value }) => [
        Name,
        Value instanceof Reference
          ? Value.resolve((name) => (name === "TableName" ? "outbox" : name))
          : Value,
      ])
      expect(emitted[metric.MetricName], alarm).toContainEqual(
        expect.objectContaining(Object.fromEntries(dimensions)),
      )
    }
  })

  it("use what the collector sends: its namespace, and exactly the dimensions of a declaration", () => {
    for (const { alarm, metric } of own) {
      expect(metric.Namespace, alarm).toEqual(Reference.to("Namespace"))
      const declared = (metric_declarations as Declaration[])
        .filter((declaration) =>
          declaration.metric_name_selectors.some((pattern) => new RegExp(pattern).test(metric.MetricName)),
        )
        .flatMap(({ dimensions }) => dimensions)
      expect(declared, alarm).toContainEqual(namesOf(metric))
    }
    expect(template.parameter("Namespace")).toMatchObject({ Default: namespace })
  })

  it("compute with the metrics that they name", () => {
    for (const alarm of alarms) {
      const queries: MetricQuery[] = template.resource(alarm).Properties.Metrics ?? []
      const returned = queries.filter(({ ReturnData }) => ReturnData !== false)
      if (queries.length === 0) continue
      expect(returned, alarm).toHaveLength(1)
      const operands = returned[0]?.Expression?.match(/\b[a-z]\w*\b/g)
      expect(operands, alarm).toEqual(queries.flatMap(({ Id, MetricStat }) => (MetricStat ? [Id] : [])))
    }
  })

  it("come from a collector that sends every metric, with a unit that CloudWatch knows", async () => {
    const emitted = await emittedMetrics("outbox")
    expect(Object.keys(emitted).toSorted()).toEqual(Object.values(METRICS).toSorted())
    for (const [name, points] of Object.entries(emitted)) {
      const declared = (metric_declarations as Declaration[]).filter(({ metric_name_selectors }) =>
        metric_name_selectors.some((pattern) => new RegExp(pattern).test(name)),
      )
      expect(declared, name).toHaveLength(1)
      for (const dimension of declared.flatMap(({ dimensions }) => dimensions.flat()))
        expect(
          points.some((point) => dimension in point),
          `${dimension} of ${name}`,
        ).toBe(true)
    }
    const counters = Object.values(METRICS).filter((name) => name !== METRICS.processDuration)
    expect(metric_descriptors).toEqual(
      expect.arrayContaining(
        counters.map((metric_name) => ({ metric_name, unit: "Count", overwrite: true })),
      ),
    )
    expect(metric_descriptors).toHaveLength(counters.length)
  })
})

/** The attributes of all data points of an outbox to which everything happens, as the collector writes them, by metric. */
async function emittedMetrics(tableName: string): Promise<Record<string, Array<Record<string, string>>>> {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.DELTA)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  const event = { id: "e1", type: "order.placed", payload: {}, occurredAt: new Date() }
  const handled: Array<Promise<void>> = []
  const outbox: Parameters<typeof instrumentOutbox>[0] = {
    publish: async () => {},
    start: (handler) => void handled.push(handler(event)),
  }
  const uninstrument = instrumentOutbox(outbox, { meterProvider })
  await outbox.publish([event])
  outbox.start(
    async () => {},
    () => {},
  )
  await Promise.all(handled)
  const { tell } = new Diagnostics(tableName)
  for (const what of ["retried", "dead-lettered", "recovered"] as const)
    tell?.({ what, eventId: event.id, eventType: event.type })
  for (const outcome of ["done", "unfinished", "unsure", "failed"] as const)
    tell?.({ what: "poll-ended", outcome })
  await meterProvider.shutdown()
  uninstrument()
  const metrics = exporter
    .getMetrics()
    .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
  return Object.fromEntries(
    metrics.map(({ descriptor, dataPoints }) => [
      descriptor.name,
      dataPoints.map(({ attributes }) =>
        Object.fromEntries(
          Object.entries(attributes).map(([name, value]) => [
            name,
            Array.isArray(value) ? JSON.stringify(value) : String(value),
          ]),
        ),
      ),
    ]),
  )
}
