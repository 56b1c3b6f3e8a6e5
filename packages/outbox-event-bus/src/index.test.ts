// The public names, and what TypeScript makes of them in a user's code.

import { describe, expect, expectTypeOf, it } from "vitest"
import type {
  AnyListener,
  BusEvent,
  BusEventInput,
  ErrorHandler,
  EventHandler,
  FailedBusEvent,
  HandlerMiddleware,
  IOutbox,
  IOutboxEventBus,
  IPublisher,
  OutboxConfig,
  OutboxErrorContext,
  ResolvedOutboxConfig,
} from "./index.ts"
import * as core from "./index.ts"

it("are those of the contract", () => {
  expect(Object.keys(core).sort()).toEqual([
    "BackpressureError",
    "BatchSizeLimitError",
    "ConfigurationError",
    "DuplicateListenerError",
    "EventPublisher",
    "EventStatus",
    "HandlerError",
    "InMemoryOutbox",
    "MaintenanceError",
    "MaxRetriesExceededError",
    "OperationalError",
    "OutboxError",
    "OutboxEventBus",
    "PollingService",
    "TimeoutError",
    "UnhandledEventError",
    "UnsupportedOperationError",
    "ValidationError",
    "createTimedPromise",
    "formatErrorMessage",
    "reportEventError",
  ])
  expect(core.EventStatus).toEqual({
    CREATED: "created",
    ACTIVE: "active",
    FAILED: "failed",
    COMPLETED: "completed",
  })
})

describe("types", () => {
  type Placed = { orderId: string }
  const bus = new core.OutboxEventBus(new core.InMemoryOutbox(), () => {})

  it("of events", () => {
    expectTypeOf<BusEvent>().toEqualTypeOf<{
      id: string
      type: string
      payload: unknown
      occurredAt: Date
      metadata?: Record<string, unknown>
    }>()
    expectTypeOf<{ type: "a"; payload: 1 }>().toExtend<BusEventInput<"a", 1>>()
    expectTypeOf<{ type: "a"; payload: 1; id: undefined }>().toExtend<BusEventInput<"a", 1>>()
    expectTypeOf<FailedBusEvent["retryCount"]>().toEqualTypeOf<number>()
    expectTypeOf<BusEvent<"a", Placed>>().toExtend<BusEvent>()
    expectTypeOf<core.EventStatus>().toEqualTypeOf<"created" | "active" | "failed" | "completed">()
  })

  it("of outboxes and their options", () => {
    expectTypeOf<core.InMemoryOutbox>().toExtend<IOutbox<unknown>>()
    expectTypeOf<ResolvedOutboxConfig>().toEqualTypeOf<Required<OutboxConfig>>()
    expectTypeOf<ErrorHandler>().parameter(0).toEqualTypeOf<core.OutboxError>()
    expectTypeOf<core.OutboxError["context"]>().toEqualTypeOf<OutboxErrorContext | undefined>()
  })

  it("of the bus: handlers tell type and payload, or leave the payload unknown", () => {
    expectTypeOf(bus).toExtend<IOutboxEventBus<unknown>>()
    bus.on("placed", async (event: BusEvent<"placed", Placed>) => {
      expectTypeOf(event.payload.orderId).toBeString()
    })
    bus.once("shipped", async (event) => {
      expectTypeOf(event.type).toEqualTypeOf<"shipped">()
      expectTypeOf(event.payload).toBeUnknown()
    })
    bus.subscribe(["a", "b"], async (event) => {
      expectTypeOf(event.type).toEqualTypeOf<"a" | "b">()
    })
    const listener: AnyListener | undefined = bus.getListener("placed")
    if (listener) bus.off("placed", listener)
    const handler: EventHandler<"placed", Placed> = async () => {}
    bus.off("placed", handler)
    expectTypeOf(bus.waitFor<"placed", Placed>).returns.resolves.toEqualTypeOf<BusEvent<"placed", Placed>>()
    // @ts-expect-error a handler of another type
    bus.off("placed", async (_: BusEvent<"shipped">) => {})
    bus.removeAllListeners()
  })

  it("of the bus: many events of different types and payloads in one call", () => {
    const emitMany = async (target: IOutboxEventBus<string>) => {
      await target.emitMany([
        { type: "placed", payload: { orderId: "1" } },
        { type: "counted", payload: 2, id: "x" },
      ])
      await target.emitMany<"placed", Placed>([{ type: "placed", payload: { orderId: "1" } }])
      // @ts-expect-error not the payload that was named
      await target.emitMany<"placed", Placed>([{ type: "placed", payload: { orderId: 1 } }])
      await target.emit({ type: "placed", payload: undefined }, "tx")
      // @ts-expect-error not a transaction of this outbox
      await target.emit({ type: "placed", payload: undefined }, 1)
    }
    expectTypeOf(emitMany).returns.resolves.toBeVoid()
  })

  it("of middleware: each phase refuses the other's", () => {
    const middleware: HandlerMiddleware = async (ctx, next) => {
      expectTypeOf(ctx.phase).toEqualTypeOf<"handler">()
      await next({ dropEvent: false })
    }
    const refused = (target: IOutboxEventBus) => {
      // @ts-expect-error a middleware for handlers alone
      target.addEmitMiddleware(middleware)
      // @ts-expect-error a middleware for handlers alone
      target.addMiddleware(middleware)
    }
    expectTypeOf(refused).toBeFunction()
    bus.addHandlerMiddleware(middleware)
  })

  it("of publishers: a class over EventPublisher is an IPublisher", () => {
    class Forwarder implements IPublisher {
      readonly #publisher = new core.EventPublisher(bus)
      subscribe(eventTypes: string[]): void {
        this.#publisher.subscribe(eventTypes, async (events) => {
          expectTypeOf(events).toEqualTypeOf<BusEvent[]>()
        })
      }
    }
    new Forwarder().subscribe(["forwarded"])
    expect(bus.listenerCount("forwarded")).toBe(1)
  })
})
