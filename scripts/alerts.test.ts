/** The alert rules ask for metrics that the code emits. */
import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { parse } from "yaml"
import { METRICS } from "../src/opentelemetry.ts"

/** As the OpenTelemetry exporter for Prometheus names them. */
const PROMETHEUS = new Set(
  Object.values(METRICS).map((name) => {
    const base = name.replaceAll(".", "_")
    return name === METRICS.processDuration ? `${base}_seconds_bucket` : `${base}_total`
  }),
)

it("each rule has an expression on known metrics, and says what to do", () => {
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
