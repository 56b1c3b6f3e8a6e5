// The event bus: completes and publishes events, routes delivered events to their handlers, both through middleware.

import { randomUUID } from "node:crypto"
import {
  ConfigurationError,
  DuplicateListenerError,
  OperationalError,
  TimeoutError,
  UnsupportedOperationError,
} from "./errors.ts"
import type { AnyListener, BusEvent, BusEventInput, EventHandler, FailedBusEvent } from "./event.ts"
import type { IOutboxEventBus } from "./event-bus.ts"
import type { UntypedEvents } from "./event-map.ts"
import { ListenerRegistry } from "./listener-registry.ts"
import { mapConcurrently } from "./map-concurrently.ts"
import type {
  EmitMiddleware,
  EmitMiddlewareContext,
  HandlerMiddleware,
  HandlerMiddlewareContext,
  Middleware,
} from "./middleware.ts"
import { runMiddleware } from "./middleware-chain.ts"
import { checkInteger } from "./number-option.ts"
import type { ErrorHandler, IOutbox } from "./outbox.ts"
import { isRelease } from "./release.ts"
import { createTimedPromise } from "./timed-promise.ts"
import {
  askForRelease,
  canRelease,
  handleUnhandled,
  resolveUnhandledEvents,
  type UnhandledEvents,
} from "./unhandled-event.ts"

/** The options of {@link OutboxEventBus}. */
export type OutboxBusConfig = {
  /** Is told about every failure that nobody awaits; handed to the outbox by `start`. */
  onError: ErrorHandler
  /**
   * For how many events of one `emitMany` the emit middleware runs at once; an integer of at least 1.
   * @defaultValue 10
   */
  middlewareConcurrency?: number | undefined
  /**
   * What becomes of an event whose type has no handler: it counts as handled, goes back to the outbox for another worker
   * (which the outbox must support), or fails. Whatever is chosen, `onError` gets an {@link UnhandledEventError}, once per type
   * and process; with `"fail"`, in each attempt's `HandlerError`.
   * @defaultValue "complete"
   */
  unhandledEvents?: UnhandledEvents | undefined
}

/**
 * An event bus that publishes through an outbox and handles what the outbox delivers. Its methods are documented at
 * {@link IOutboxEventBus}.
 *
 * @typeParam TTransaction - the transaction that the outbox can publish in
 * @typeParam TEvents - a map from event types to payloads, against which the compiler checks what is emitted and handled
 * @example
 * ```ts
 * const bus = new OutboxEventBus(new InMemoryOutbox(), (error) => console.error(error))
 * bus.on("order.placed", async (event) => ship(event.payload))
 * bus.start()
 * await bus.emit({ type: "order.placed", payload: { orderId: "42" } })
 * ```
 * @example With a map of the events, the compiler checks types and payloads:
 * ```ts
 * type ShopEvents = { "order.placed": { orderId: string }; "order.shipped": { carrier: string } }
 * const bus = new OutboxEventBus<unknown, ShopEvents>(new InMemoryOutbox(), (error) => console.error(error))
 * bus.on("order.placed", async (event) => ship(event.payload.orderId))
 * ```
 */
export interface OutboxEventBus<TTransaction = unknown, out TEvents extends object = UntypedEvents>
  extends IOutboxEventBus<TTransaction, TEvents> {}

/** Makes an {@link OutboxEventBus}. */
export interface OutboxEventBusConstructor {
  /**
   * @typeParam TTransaction - the transaction that the outbox can publish in
   * @typeParam TEvents - a map from event types to payloads; see {@link IOutboxEventBus}
   * @param outbox - stores and delivers the events
   * @param onErrorOrConfig - the error handler, or all options
   * @throws {@link ConfigurationError} for an option that is not allowed; it names the option, the value and what is allowed
   */
  new <TTransaction = unknown, TEvents extends object = UntypedEvents>(
    outbox: IOutbox<TTransaction>,
    onErrorOrConfig: ErrorHandler | OutboxBusConfig,
  ): OutboxEventBus<TTransaction, TEvents>
  readonly prototype: OutboxEventBus
}

// The class knows nothing of the map of events, which is there for the compiler alone.
export const OutboxEventBus = class OutboxEventBus<TTransaction> implements IOutboxEventBus<TTransaction> {
  // Private in TypeScript only: users call the methods through a Proxy, or through an object created from the bus.
  private readonly outbox: IOutbox<TTransaction>
  private readonly onError: ErrorHandler
  private readonly middlewareConcurrency: number
  private readonly unhandledEvents: UnhandledEvents
  private readonly listeners = new ListenerRegistry()
  // Of `never`, so that a bus of one transaction type can be handed to code that names another, or none.
  private readonly emitMiddlewares: EmitMiddleware<never>[] = []
  private readonly handlerMiddlewares: HandlerMiddleware<never>[] = []

  constructor(outbox: IOutbox<TTransaction>, onErrorOrConfig: ErrorHandler | OutboxBusConfig) {
    const config = typeof onErrorOrConfig === "function" ? { onError: onErrorOrConfig } : onErrorOrConfig
    if (typeof config?.onError !== "function") {
      const value = config?.onError
      throw new ConfigurationError(`Invalid onError: ${String(value)}. Allowed: a function.`, {
        option: "onError",
        value,
        allowed: "a function",
      })
    }
    this.outbox = outbox
    this.onError = config.onError
    this.middlewareConcurrency = checkInteger("middlewareConcurrency", config.middlewareConcurrency ?? 10, 1)
    this.unhandledEvents = resolveUnhandledEvents(config.unhandledEvents, outbox)
  }

  async emit<T extends string, P>(event: BusEventInput<T, P>, transaction?: TTransaction): Promise<void> {
    await this.emitMany([event], transaction)
  }

  async emitMany<T extends string = string, P = unknown>(
    events: readonly BusEventInput<T, NoInfer<P>>[],
    transaction?: TTransaction,
  ): Promise<void> {
    const complete = events.map(completeEvent)
    const kept = await mapConcurrently(complete, this.middlewareConcurrency, (event) =>
      this.passEmitMiddleware(event, transaction),
    )
    const toPublish = kept.filter((event) => event !== undefined)
    if (toPublish.length > 0) await this.outbox.publish(toPublish, transaction)
  }

  on<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P>): this {
    assertHandler(eventType, handler)
    this.listeners.add(eventType, handler as AnyListener)
    return this
  }

  addListener<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P>): this {
    return this.on(eventType, handler)
  }

  off<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P> | AnyListener): this {
    this.listeners.remove(eventType, handler as AnyListener)
    return this
  }

  removeListener<T extends string, P = unknown>(
    eventType: T,
    handler: EventHandler<T, P> | AnyListener,
  ): this {
    return this.off(eventType, handler)
  }

  once<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P>): this {
    assertHandler(eventType, handler)
    let isRunning = false
    // It keeps the type until it has succeeded: an event that came meanwhile would otherwise be nobody's.
    const untilSuccess = async (event: BusEvent<T, P>) => {
      if (isRunning) throw this.onceIsBusy(event)
      isRunning = true
      try {
        await handler(event)
      } finally {
        isRunning = false
      }
      if (registered) this.off(eventType, registered)
    }
    this.on(eventType, untilSuccess)
    // Not untilSuccess itself where the on() of a subclass wraps what it is given.
    const registered = this.listeners.nameBy(eventType, handler as AnyListener)
    return this
  }

  subscribe<T extends string, P = unknown>(eventTypes: readonly T[], handler: EventHandler<T, P>): this {
    const repeated = eventTypes.find(
      (eventType, index) => this.listeners.find(eventType) || eventTypes.indexOf(eventType) < index,
    )
    if (repeated !== undefined) throw new DuplicateListenerError(repeated)
    for (const eventType of eventTypes) this.on(eventType, handler)
    return this
  }

  removeAllListeners(eventType?: string): this {
    this.listeners.clear(eventType)
    return this
  }

  addMiddleware(...middlewares: Middleware<TTransaction>[]): this {
    return this.addEmitMiddleware(...middlewares).addHandlerMiddleware(...middlewares)
  }

  addEmitMiddleware(...middlewares: EmitMiddleware<TTransaction>[]): this {
    this.emitMiddlewares.push(...middlewares)
    return this
  }

  addHandlerMiddleware(...middlewares: HandlerMiddleware<TTransaction>[]): this {
    this.handlerMiddlewares.push(...middlewares)
    return this
  }

  // Async, so that a type that is taken rejects like every other failure; the slot is taken before the call returns.
  async waitFor<T extends string, P = unknown>(eventType: T, timeoutMs = 5000): Promise<BusEvent<T, P>> {
    const arrival = createTimedPromise<BusEvent<T, P>>(
      timeoutMs,
      () => new TimeoutError(`event ${JSON.stringify(eventType)}`, timeoutMs, { eventType }),
    )
    const handler: EventHandler<T, P> = async (event) => arrival.resolve(event)
    this.once(eventType, handler)
    arrival.addCleanup(() => this.off(eventType, handler))
    return arrival.start()
  }

  start(): void {
    this.outbox.start((event) => this.handle(event), this.onError)
  }

  async stop(): Promise<void> {
    await this.outbox.stop()
  }

  getSubscriptionCount(): number {
    return this.listeners.eventTypes().length
  }

  listenerCount(eventType: string): number {
    return this.listeners.find(eventType) ? 1 : 0
  }

  getListener(eventType: string): AnyListener | undefined {
    return this.listeners.findOriginal(eventType)
  }

  eventNames(): string[] {
    return this.listeners.eventTypes()
  }

  async getFailedEvents(): Promise<FailedBusEvent[]> {
    this.requireOperation("getFailedEvents")
    return this.outbox.getFailedEvents()
  }

  async retryEvents(eventIds: string[]): Promise<void> {
    this.requireOperation("retryEvents")
    await this.outbox.retryEvents(eventIds)
  }

  /** The type demands the method, but outboxes without dead letters, and those in JavaScript, may lack it. */
  private requireOperation(operation: "getFailedEvents" | "retryEvents"): void {
    if (typeof this.outbox[operation] !== "function") throw new UnsupportedOperationError(operation)
  }

  /** The event as it reached the core of the emit middleware, or undefined if it was dropped on the way. */
  private async passEmitMiddleware(
    event: BusEvent,
    transaction: TTransaction | undefined,
  ): Promise<BusEvent | undefined> {
    const context = { phase: "emit", event, transaction } as EmitMiddlewareContext<never>
    let kept: BusEvent | undefined
    await runMiddleware([...this.emitMiddlewares], context, async () => {
      kept = context.event
    })
    return kept
  }

  private async handle(event: BusEvent): Promise<void> {
    const context: HandlerMiddlewareContext<never> = { phase: "handler", event }
    let release: { error: unknown } | undefined
    try {
      await runMiddleware([...this.handlerMiddlewares], context, async () => {
        try {
          await this.dispatch(context.event)
        } catch (error) {
          if (isRelease(error)) release = { error }
          throw error
        }
      })
    } catch (error) {
      // Whatever middleware makes of it: the event has not been handled, and nothing has failed.
      throw release ? release.error : error
    }
  }

  /** Runs the handler of the event's type. */
  private async dispatch(event: BusEvent): Promise<void> {
    const listener = this.listeners.find(event.type)
    if (listener) await listener(event)
    else handleUnhandled(event, this.unhandledEvents, this.onError)
  }

  private onceIsBusy(event: BusEvent): OperationalError {
    const type = JSON.stringify(event.type)
    const error = new OperationalError(`The once() handler of event type ${type} still runs`, { event })
    return canRelease(this.outbox) ? askForRelease(error) : error
  }
} as unknown as OutboxEventBusConstructor

function completeEvent(event: BusEventInput): BusEvent {
  return { ...event, id: event.id ?? randomUUID(), occurredAt: event.occurredAt ?? new Date() }
}

/** @throws {@link ConfigurationError} where a function is missing, as after a typo in an import */
function assertHandler(eventType: string, handler: unknown): void {
  if (typeof handler === "function") return
  const value = handler === null ? "null" : typeof handler
  throw new ConfigurationError(
    `The handler of event type ${JSON.stringify(eventType)} is ${value}. Allowed: a function, as in on("order.placed", async (event) => …).`,
    { eventType },
  )
}
