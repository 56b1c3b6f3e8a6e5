/** A trace runs from the process that emits to the one that handles. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { propagation } from "@opentelemetry/api"
import { W3CTraceContextPropagator } from "@opentelemetry/core"
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { expect, onTestFinished, test } from "vitest"
import { instrumentOutbox } from "../src/opentelemetry.ts"
import { createTable, endpoint } from "./fixture/table.ts"
import { until } from "./fixture/until.ts"
import { outboxOn } from "./fixture/worker.ts"

test("the handler's span links to the emitting one of another process", async () => {
  const table = await createTable()
  const script = fileURLToPath(new URL("fixture/traced-publisher.ts", import.meta.url))
  const args = ["--import", "tsx", script, endpoint(), table.tableName]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  const emitting = JSON.parse(stdout)

  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  const spans = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
  const outbox = outboxOn(table)
  const uninstrument = instrumentOutbox(outbox, { tracerProvider })
  onTestFinished(async () => {
    uninstrument()
    propagation.disable()
    await outbox.stop()
  })
  outbox.start(
    async () => {},
    () => {},
  )
  const [span] = await until(
    "it is handled",
    () => spans.getFinishedSpans().length > 0 && spans.getFinishedSpans(),
  )
  expect(span).toMatchObject({ name: "process order.placed" })
  expect(span?.links[0]?.context).toMatchObject({ traceId: emitting.traceId, spanId: emitting.spanId })
})
