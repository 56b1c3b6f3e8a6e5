import { context, propagation, trace } from "@opentelemetry/api"
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks"
import { W3CTraceContextPropagator } from "@opentelemetry/core"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics"
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import {
  ATTR_MESSAGING_BATCH_MESSAGE_COUNT,
  ATTR_MESSAGING_DESTINATION_NAME,
  ATTR_MESSAGING_MESSAGE_ID,
  ATTR_MESSAGING_OPERATION_NAME,
  ATTR_MESSAGING_OPERATION_TYPE,
  ATTR_MESSAGING_SYSTEM,
  METRIC_MESSAGING_CLIENT_CONSUMED_MESSAGES,
  METRIC_MESSAGING_CLIENT_SENT_MESSAGES,
  METRIC_MESSAGING_PROCESS_DURATION,
} from "@opentelemetry/semantic-conventions/incubating"
import { OutboxEventBus } from "outbox-event-bus"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { TestOutbox } from "../testing.ts"
import { instrumentOutbox, METRICS } from "./opentelemetry.ts"

let spans: InMemorySpanExporter
let tracerProvider: BasicTracerProvider
let metricExporter: InMemoryMetricExporter
let meterProvider: MeterProvider

beforeEach(() => {
  spans = new InMemorySpanExporter()
  tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
  metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  meterProvider = new MeterProvider({
    readers: [
      new PeriodicExportingMetricReader({ exporter: metricExporter, exportIntervalMillis: 3_600_000 }),
    ],
  })
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
})

afterEach(async () => {
  context.disable()
  propagation.disable()
  await meterProvider.shutdown()
})

/** The sums and counts of a metric, by the type of the event. */
async function measured(name: string): Promise<Record<string, number>> {
  await meterProvider.forceFlush()
  const all =
    metricExporter
      .getMetrics()
      .at(-1)
      ?.scopeMetrics.flatMap(({ metrics }) => metrics) ?? []
  const points = all.find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? []
  return Object.fromEntries(
    points.map(({ attributes, value }) => [
      String(attributes["messaging.destination.name"] ?? attributes.outcome),
      typeof value === "number" ? value : (value as { count: number }).count,
    ]),
  )
}

function instrumented(options: ConstructorParameters<typeof TestOutbox>[0] = {}) {
  const outbox = new TestOutbox({ maxRetries: 2, ...options })
  const stop = instrumentOutbox(outbox, { tracerProvider, meterProvider })
  const bus = new OutboxEventBus(outbox, () => {})
  return { outbox, bus, stop }
}

describe("an instrumented outbox", () => {
  it("links the handler's span to the emitting one, by the event's metadata", async () => {
    const { outbox, bus, stop } = instrumented()
    let active: string | undefined
    bus.on("order.placed", async () => {
      active = trace.getActiveSpan()?.spanContext().spanId
    })
    bus.start()
    await bus.emit({ id: "e1", type: "order.placed", payload: { card: "4111" }, metadata: { tenant: "t1" } })
    await outbox.idle()
    const [send, process] = spans.getFinishedSpans()
    expect(send).toMatchObject({
      name: "send outbox",
      attributes: {
        [ATTR_MESSAGING_SYSTEM]: "dynamodb_outbox",
        [ATTR_MESSAGING_OPERATION_NAME]: "send",
        [ATTR_MESSAGING_OPERATION_TYPE]: "send",
        [ATTR_MESSAGING_DESTINATION_NAME]: "order.placed",
        [ATTR_MESSAGING_MESSAGE_ID]: "e1",
      },
    })
    expect(process).toMatchObject({
      name: "process order.placed",
      attributes: {
        [ATTR_MESSAGING_OPERATION_TYPE]: "process",
        [ATTR_MESSAGING_DESTINATION_NAME]: "order.placed",
        [ATTR_MESSAGING_MESSAGE_ID]: "e1",
        "dynamodb_outbox.attempt": 1,
      },
      links: [{ context: { traceId: send?.spanContext().traceId, spanId: send?.spanContext().spanId } }],
    })
    expect(process?.parentSpanContext).toBeUndefined()
    expect(active).toBe(process?.spanContext().spanId)
    expect(outbox.published[0]?.metadata).toEqual({
      tenant: "t1",
      traceparent: expect.stringContaining(send?.spanContext().traceId ?? ""),
    })
    expect(
      JSON.stringify(spans.getFinishedSpans().map(({ attributes, status }) => [attributes, status])),
    ).not.toContain("4111")
    stop()
    await bus.stop()
  })

  it("marks spans of failed handlers and refused events, without their texts", async () => {
    const { outbox, bus, stop } = instrumented()
    bus.on("order.placed", async () => {
      throw new TypeError("card 4111 was declined")
    })
    bus.start()
    await bus.emit({ id: "e1", type: "order.placed", payload: {} })
    await outbox.idle()
    await expect(bus.emit({ id: "e1", type: "order.placed", payload: {} })).rejects.toThrow()
    const [, first, second, refused] = spans.getFinishedSpans()
    expect(first).toMatchObject({
      status: { code: 2 },
      attributes: { "error.type": "TypeError", "dynamodb_outbox.attempt": 1 },
    })
    expect(second).toMatchObject({ attributes: { "dynamodb_outbox.attempt": 2 } })
    expect(refused).toMatchObject({
      status: { code: 2 },
      attributes: { "error.type": "EventAlreadyPublishedError" },
    })
    for (const span of spans.getFinishedSpans()) {
      expect(span.events).toEqual([])
      expect(JSON.stringify([span.attributes, span.status])).not.toContain("4111")
    }
    stop()
    await bus.stop()
  })

  it("counts what is in the table, exactly", async () => {
    const { outbox, bus, stop } = instrumented()
    bus.on("fine", async () => {})
    bus.on("broken", async () => {
      throw new Error("no")
    })
    bus.start()
    const events = Array.from({ length: 30 }, (_, i) => ({
      type: i % 3 === 0 ? "broken" : "fine",
      payload: i,
    }))
    await bus.emitMany(events)
    await outbox.idle()
    expect(await measured(METRICS.sent)).toEqual({ fine: 20, broken: 10 })
    expect(await measured(METRICS.consumed)).toEqual({ fine: 20, broken: 20 })
    expect(await measured(METRICS.processDuration)).toEqual({ fine: 20, broken: 20 })
    expect(await measured(METRICS.retried)).toEqual({ broken: 10 })
    expect(await measured(METRICS.deadLettered)).toEqual({ broken: 10 })
    expect(outbox.delivered).toHaveLength(20)
    expect(outbox.failed).toHaveLength(10)
    expect((await measured(METRICS.polls)).done).toBeGreaterThan(0)
    expect(spans.getFinishedSpans()[0]?.attributes).toMatchObject({
      [ATTR_MESSAGING_BATCH_MESSAGE_COUNT]: 30,
    })
    stop()
    await bus.stop()
  })

  it("counts once where several are instrumented, and not at all any more when it is stopped", async () => {
    const { outbox, bus, stop } = instrumented({ maxRetries: 1 })
    const other = instrumented({ tableName: "other" })
    bus.on("broken", async () => {
      throw new Error("no")
    })
    bus.start()
    await bus.emit({ type: "broken", payload: 1 })
    await outbox.idle()
    expect(await measured(METRICS.deadLettered)).toEqual({ broken: 1 })
    await bus.stop()
    stop()
    other.stop()
    const count = spans.getFinishedSpans().length
    await outbox.publish([])
    bus.start()
    await bus.emit({ type: "broken", payload: 1 })
    await outbox.idle()
    expect(spans.getFinishedSpans()).toHaveLength(count)
    expect(await measured(METRICS.deadLettered)).toEqual({ broken: 1 })
    await bus.stop()
  })

  it("leaves it to the outbox to refuse what is no event", async () => {
    const { outbox, stop } = instrumented()
    const event = { id: "e1", type: "t", payload: 1, occurredAt: new Date() }
    await expect(outbox.publish([{ ...event, metadata: "abc" as never }])).rejects.toThrow(
      "metadata is a string",
    )
    await expect(outbox.publish([undefined as never])).rejects.toThrow("can't be stored")
    expect(outbox.published).toEqual([])
    stop()
  })

  it("changes nothing where no SDK is registered", async () => {
    context.disable()
    propagation.disable()
    const outbox = new TestOutbox()
    const stop = instrumentOutbox(outbox)
    const event = { id: "e1", type: "t", payload: 1, occurredAt: new Date() }
    await outbox.publish([event])
    expect(outbox.published).toEqual([event])
    stop()
  })
})

it("names its metrics as the conventions do", () => {
  expect(METRICS).toMatchObject({
    sent: METRIC_MESSAGING_CLIENT_SENT_MESSAGES,
    consumed: METRIC_MESSAGING_CLIENT_CONSUMED_MESSAGES,
    processDuration: METRIC_MESSAGING_PROCESS_DURATION,
  })
})
