/**
 * Spans and metrics by OpenTelemetry's API alone, around an outbox's `publish` and the handlers that it is started with. Without a
 * registered SDK, the API does nothing.
 *
 * Names follow the semantic conventions for messaging (https://opentelemetry.io/docs/specs/semconv/messaging/); what they have no
 * name for begins with `dynamodb_outbox`.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import {
  type Attributes,
  context,
  createNoopMeter,
  type Link,
  type MeterProvider,
  metrics,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TracerProvider,
  trace,
} from "@opentelemetry/api"
import type { BusEvent } from "outbox-event-bus"
import { getHandlerContext } from "../delivery/handler-context.ts"
import type { DynamoDBAwsSdkOutbox } from "../dynamodb-aws-sdk-outbox.ts"
import { OUTBOX_DIAGNOSTICS_CHANNEL, type OutboxDiagnostic } from "../process/diagnostics.ts"

/** Options of {@link instrumentOutbox}. */
export interface InstrumentationOptions {
  /** Default: the one that is registered globally. */
  tracerProvider?: TracerProvider | undefined
  /** Default: the one that is registered globally. */
  meterProvider?: MeterProvider | undefined
}

const SCOPE = "@outbox-event-bus/dynamodb-aws-sdk-outbox"
const SYSTEM = { "messaging.system": "dynamodb_outbox" }

/** The names of all metrics, for dashboards and alarms. */
export const METRICS = {
  sent: "messaging.client.sent.messages",
  consumed: "messaging.client.consumed.messages",
  processDuration: "messaging.process.duration",
  retried: "dynamodb_outbox.events.retried",
  deadLettered: "dynamodb_outbox.events.dead_lettered",
  recovered: "dynamodb_outbox.events.recovered",
  polls: "dynamodb_outbox.polls",
} as const

/**
 * Makes an outbox tell OpenTelemetry what it does: a producer span for each `publish`, whose context travels in the events' `metadata`
 * (W3C `traceparent`), a consumer span for each run of a handler, linked to it across processes, and metrics. No payload gets into either.
 * Failures, dead letters, recoveries and polls are counted for all outboxes of the process, by table.
 *
 * To be called once per outbox, before the bus is started and after the SDK is registered.
 *
 * @param outbox - The outbox, before it is given to a bus or afterwards.
 * @param options - Providers other than the global ones.
 * @returns to be called to stop it: the outbox is then as it was.
 * @example
 * ```ts
 * const outbox = new DynamoDBAwsSdkOutbox({ client, tableName: "outbox" })
 * instrumentOutbox(outbox)
 * const bus = new OutboxEventBus(outbox, (error) => console.error(error))
 * ```
 */
export function instrumentOutbox(
  outbox: Pick<DynamoDBAwsSdkOutbox, "publish" | "start">,
  {
    tracerProvider = trace.getTracerProvider(),
    meterProvider = metrics.getMeterProvider(),
  }: InstrumentationOptions = {},
): () => void {
  const tracer = tracerProvider.getTracer(SCOPE)
  const meters = Meters.of(meterProvider)
  const { publish, start } = outbox

  outbox.publish = async (events, transaction) => {
    if (events.length === 0) return publish.call(outbox, events, transaction)
    const span = tracer.startSpan("send outbox", {
      kind: SpanKind.PRODUCER,
      attributes: sendAttributes(events),
    })
    await context.with(trace.setSpan(context.active(), span), () =>
      observed(span, async () => {
        await publish.call(outbox, events.map(withContext), transaction)
        for (const { type } of events) meters.sent.add(1, { ...SYSTEM, "messaging.destination.name": type })
      }),
    )
  }

  outbox.start = (handler, onError) => {
    start.call(
      outbox,
      async (event) => {
        const extracted = propagation.extract(ROOT_CONTEXT, event.metadata ?? {})
        const producer = trace.getSpanContext(extracted)
        const links: Link[] = producer ? [{ context: producer }] : []
        const attributes = processAttributes(event)
        // A trace of its own, linked to the emitting one: days may lie between them. Baggage goes on.
        const parent = trace.deleteSpan(extracted)
        const span = tracer.startSpan(
          `process ${event.type}`,
          { kind: SpanKind.CONSUMER, attributes, links },
          parent,
        )
        await context.with(trace.setSpan(parent, span), () =>
          meters.process(event, () => observed(span, () => handler(event))),
        )
      },
      onError,
    )
  }

  return () => {
    outbox.publish = publish
    outbox.start = start
    meters.release()
  }
}

async function observed(span: Span, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    span.setAttribute("error.type", nameOf(error))
    // Without its message, which may quote a payload.
    span.setStatus({ code: SpanStatusCode.ERROR })
    throw error
  } finally {
    span.end()
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "_OTHER"
}

/** The event with the current context in its metadata; what the caller has put there under the same names stays. */
function withContext(event: BusEvent): BusEvent {
  // What is no event is refused as it is.
  if (!event || typeof (event.metadata ?? {}) !== "object") return event
  const carrier: Record<string, string> = {}
  propagation.inject(context.active(), carrier)
  return Object.keys(carrier).length === 0 ? event : { ...event, metadata: { ...carrier, ...event.metadata } }
}

function sendAttributes(events: readonly BusEvent[]): Attributes {
  // What is no event is refused by `publish`.
  const types = [...new Set(events.map((event) => event?.type))]
  return {
    ...SYSTEM,
    "messaging.operation.name": "send",
    "messaging.operation.type": "send",
    ...(events.length > 1 && { "messaging.batch.message_count": events.length }),
    ...(events.length === 1 && { "messaging.message.id": events[0]?.id }),
    ...(types.length === 1 && { "messaging.destination.name": types[0] }),
  }
}

function processAttributes({ id, type }: BusEvent): Attributes {
  const attempt = getHandlerContext()?.attempt
  return {
    ...SYSTEM,
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.destination.name": type,
    "messaging.message.id": id,
    ...(attempt !== undefined && { "dynamodb_outbox.attempt": attempt }),
  }
}

/** The instruments of a provider, shared by all outboxes: the channel tells of each, so they must listen to it once. */
class Meters {
  private static readonly known = new Map<MeterProvider, Meters>()
  private users = 0
  private readonly isNoop: boolean
  private readonly meter
  readonly sent
  private readonly consumed
  private readonly duration
  private readonly outcomes
  private readonly polls

  static of(provider: MeterProvider): Meters {
    const meters = Meters.known.get(provider) ?? new Meters(provider)
    Meters.known.set(provider, meters)
    // With a subscriber, outboxes make a message of each thing they do, which nobody would count.
    if (meters.users++ === 0 && !meters.isNoop) subscribe(OUTBOX_DIAGNOSTICS_CHANNEL, meters.listen)
    return meters
  }

  release(): void {
    if (--this.users > 0) return
    unsubscribe(OUTBOX_DIAGNOSTICS_CHANNEL, this.listen)
    Meters.known.delete(this.provider)
  }

  private readonly listen = (message: unknown) => this.count(message as OutboxDiagnostic)

  private constructor(private readonly provider: MeterProvider) {
    this.meter = provider.getMeter(SCOPE)
    this.isNoop = this.meter === createNoopMeter()
    const counter = (name: string, unit: string, description: string) =>
      this.meter.createCounter(name, { unit, description })
    this.sent = counter(METRICS.sent, "{message}", "Events that were published")
    this.consumed = counter(METRICS.consumed, "{message}", "Events that were handed to a handler")
    this.duration = this.meter.createHistogram(METRICS.processDuration, {
      unit: "s",
      description: "Runs of handlers",
    })
    this.outcomes = {
      retried: counter(METRICS.retried, "{event}", "Attempts that have failed, to be retried"),
      "dead-lettered": counter(METRICS.deadLettered, "{event}", "Events that have become dead letters"),
      recovered: counter(METRICS.recovered, "{event}", "Events whose worker had died or was late"),
    }
    this.polls = counter(METRICS.polls, "{poll}", "Polls, by their outcome")
  }

  async process({ type }: BusEvent, work: () => Promise<void>): Promise<void> {
    const attributes: Attributes = {
      ...SYSTEM,
      "messaging.operation.name": "process",
      "messaging.destination.name": type,
    }
    this.consumed.add(1, attributes)
    const startedAt = performance.now()
    try {
      await work()
    } catch (error) {
      attributes["error.type"] = nameOf(error)
      throw error
    } finally {
      this.duration.record((performance.now() - startedAt) / 1000, attributes)
    }
  }

  private count(diagnostic: OutboxDiagnostic): void {
    const table = { "aws.dynamodb.table_names": [diagnostic.tableName] }
    if (diagnostic.what === "poll-ended") this.polls.add(1, { ...table, outcome: diagnostic.outcome })
    if (
      diagnostic.what !== "retried" &&
      diagnostic.what !== "dead-lettered" &&
      diagnostic.what !== "recovered"
    )
      return
    this.outcomes[diagnostic.what].add(1, { ...table, "messaging.destination.name": diagnostic.eventType })
  }
}
