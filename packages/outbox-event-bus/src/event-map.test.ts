// A map of events: what the compiler accepts and refuses. The assertions are made by `npm run typecheck`.

import { describe, expect, expectTypeOf, it } from "vitest"
import {
  type AnyListener,
  type BusEvent,
  type BusEventInput,
  type EventHandler,
  type EventHandlerOf,
  type EventOf,
  EventPublisher,
  InMemoryOutbox,
  type IOutboxEventBus,
  type IPublisher,
  OutboxEventBus,
} from "./index.ts"

interface Shop {
  "order.placed": { orderId: string; total: number }
  "order.shipped": { orderId: string; carrier: string }
}
type Orders = Pick<Shop, "order.placed">
type Transaction = { push(item: object): void }

const createBus = () => new OutboxEventBus<Transaction, Shop>(new InMemoryOutbox(), () => {})
const placed = { type: "order.placed", payload: { orderId: "1", total: 2 } } as const
const shipped = { type: "order.shipped", payload: { orderId: "1", carrier: "post" } } as const

/** Compiled, never called. */
const compiles = (_: (bus: OutboxEventBus<Transaction, Shop>) => unknown) => expect(_).toBeTypeOf("function")

it("a bus with a map works like any other", async () => {
  const outbox = new InMemoryOutbox()
  const bus = new OutboxEventBus<unknown, Shop>(outbox, () => {})
  const totals: number[] = []
  bus.on("order.placed", async (event) => void totals.push(event.payload.total))
  bus.start()
  await bus.emit(placed)
  await bus.stop()
  expect(totals).toEqual([2])
  expect(bus.constructor.name).toBe("OutboxEventBus")
  expect(bus).toBeInstanceOf(OutboxEventBus)
})

describe("handlers", () => {
  it("know the payload of their type, without annotations", () =>
    compiles((bus) => {
      for (const method of ["on", "once", "addListener"] as const) {
        bus[method]("order.placed", async (event) => {
          expectTypeOf(event).toEqualTypeOf<BusEvent<"order.placed", Shop["order.placed"]>>()
        })
      }
      const handler: EventHandlerOf<Shop, "order.placed"> = async () => {}
      bus.on("order.placed", handler).off("order.placed", handler).removeListener("order.placed", handler)
    }))

  it("of several types tell them apart by the type", () =>
    compiles((bus) => {
      bus.subscribe(["order.placed", "order.shipped"], async (event) => {
        expectTypeOf(event.payload.orderId).toBeString()
        if (event.type === "order.placed") expectTypeOf(event.payload.total).toBeNumber()
        else expectTypeOf(event.payload.carrier).toBeString()
      })
    }))

  it("may ask for less than there is, but not for something else", () =>
    compiles((bus) => {
      bus.on("order.placed", async (_: BusEvent) => {})
      bus.on("order.placed", async (_: BusEvent<"order.placed", { orderId: string }>) => {})
      // @ts-expect-error not the payload of that type
      bus.on("order.placed", async (_: BusEvent<"order.placed", { orderId: number }>) => {})
      // @ts-expect-error more than the payload has
      bus.on("order.placed", async (_: BusEvent<"order.placed", { orderId: string; coupon: string }>) => {})
      // @ts-expect-error no such field
      bus.on("order.placed", async (event) => event.payload.totl)
    }))

  it("are refused for types that are not in the map", () =>
    compiles((bus) => {
      // @ts-expect-error a typo
      bus.on("order.plced", async () => {})
      // @ts-expect-error a typo
      bus.once("order.plced", async () => {})
      // @ts-expect-error a typo
      bus.subscribe(["order.placed", "order.plced"], async () => {})
      // @ts-expect-error a typo
      void bus.waitFor("order.plced")
    }))
})

describe("what is emitted", () => {
  it("fits the map", () =>
    compiles((bus) => [
      bus.emit({ type: "order.placed", payload: { orderId: "1", total: 1 }, id: "1" }),
      bus.emitMany([placed, shipped]),
      bus.emitMany([] as EventOf<Shop>[]),
      // @ts-expect-error a typo
      bus.emit({ type: "order.plced", payload: { orderId: "1", total: 1 } }),
      // @ts-expect-error a number for a string
      bus.emit({ type: "order.placed", payload: { orderId: 1, total: 1 } }),
      // @ts-expect-error a field is missing
      bus.emit({ type: "order.placed", payload: { orderId: "1" } }),
      // @ts-expect-error a field too many
      bus.emit({ type: "order.placed", payload: { orderId: "1", total: 1, coupon: "x" } }),
      // @ts-expect-error the payload of the other type
      bus.emit({ type: "order.shipped", payload: placed.payload }),
      // @ts-expect-error the payload of the other type
      bus.emitMany([placed, { type: "order.shipped", payload: placed.payload }]),
      // @ts-expect-error not a transaction of this outbox
      bus.emit(placed, "transaction"),
    ]))

  it("may be generic in its type", () =>
    compiles(
      (bus) =>
        <T extends keyof Shop>(type: T, payload: Shop[T]) =>
          bus.emit({ type, payload }),
    ))

  it("is what waitFor resolves with", () =>
    compiles(async (bus) => {
      expectTypeOf(await bus.waitFor("order.shipped")).toEqualTypeOf<EventOf<Shop, "order.shipped">>()
      // @ts-expect-error not the payload of that type
      const other: BusEvent<"order.shipped", { tracking: string }> = await bus.waitFor("order.shipped")
      return other
    }))
})

describe("a bus with a map", () => {
  const takesAny = (_: IOutboxEventBus<Transaction>, __?: IOutboxEventBus<unknown>) => {}
  const takesOrders = (_: IOutboxEventBus<Transaction, Orders>) => {}
  const takesOthers = (_: IOutboxEventBus<Transaction, { "order.placed": { orderId: number } }>) => {}
  const takesMore = (_: IOutboxEventBus<Transaction, Shop & { "order.paid": object }>) => {}

  it("can be passed where a bus without one, or with a part of it, is asked for", () =>
    compiles((bus) => {
      takesAny(bus, bus)
      takesOrders(bus)
      const service: IOutboxEventBus<Transaction, Shop> = bus
      takesAny(service, service)
      takesOrders(service)
      takesOrders(new OutboxEventBus<Transaction>(new InMemoryOutbox(), () => {}))
    }))

  it("is not taken for one with other payloads, or more types", () =>
    compiles((bus) => {
      const service: IOutboxEventBus<Transaction, Shop> = bus
      // @ts-expect-error other payloads
      takesOthers(bus)
      // @ts-expect-error other payloads
      takesOthers(service)
      // @ts-expect-error more types
      takesMore(bus)
      // @ts-expect-error more types
      takesMore(service)
    }))
})

describe("publishers", () => {
  it("know the events they subscribe to", () => {
    const publisher = new EventPublisher(createBus())
    publisher.subscribe(["order.placed", "order.shipped"], async (events) => {
      expectTypeOf(events).toEqualTypeOf<EventOf<Shop>[]>()
    })
    compiles(() => {
      // @ts-expect-error a typo
      publisher.subscribe(["order.plced"], async () => {})
    })
  })

  it("that know nothing of the map take the bus as it is", () => {
    class Forwarder implements IPublisher {
      private readonly publisher: EventPublisher<Transaction>
      constructor(bus: IOutboxEventBus<Transaction>) {
        this.publisher = new EventPublisher(bus)
      }
      subscribe(eventTypes: string[]): void {
        this.publisher.subscribe(eventTypes, async (events) => {
          expectTypeOf(events).toEqualTypeOf<BusEvent[]>()
        })
      }
    }
    new Forwarder(createBus()).subscribe(["order.placed"])
  })
})

describe("without a map", () => {
  type Untyped = IOutboxEventBus<string>

  it("the signatures are those of a bus that knows of none", () => {
    type On = <T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P>) => Untyped
    type Off = <T extends string, P = unknown>(
      eventType: T,
      handler: EventHandler<T, P> | AnyListener,
    ) => Untyped
    expectTypeOf<Untyped["on"]>().toEqualTypeOf<On>()
    expectTypeOf<Untyped["once"]>().toEqualTypeOf<On>()
    expectTypeOf<Untyped["off"]>().toEqualTypeOf<Off>()
    expectTypeOf<Untyped["emit"]>().toEqualTypeOf<
      <T extends string, P>(event: BusEventInput<T, P>, transaction?: string) => Promise<void>
    >()
    expectTypeOf<Untyped["waitFor"]>().toEqualTypeOf<
      <T extends string, P = unknown>(eventType: T, timeoutMs?: number) => Promise<BusEvent<T, P>>
    >()
    expectTypeOf<Untyped["eventNames"]>().returns.toEqualTypeOf<string[]>()
    expectTypeOf<OutboxEventBus<string>>().toExtend<Untyped>()
  })

  it("a partial mock infers the parameters of its methods", () => {
    const mock: Pick<IOutboxEventBus<unknown>, "emitMany"> = {
      emitMany: async (events) => {
        expectTypeOf(events.map(({ type }): string => type)).toEqualTypeOf<string[]>()
      },
    }
    expect(mock).toBeDefined()
  })

  it("a subclass overrides methods with the signatures it always had", () => {
    class Traced extends OutboxEventBus<string> {
      override on<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P>): this {
        return super.on(eventType, handler)
      }
    }
    expect(new Traced(new InMemoryOutbox(), () => {}).on("a", async () => {}).eventNames()).toEqual(["a"])
  })
})
