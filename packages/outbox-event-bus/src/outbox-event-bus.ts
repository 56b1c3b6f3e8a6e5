// The event bus: completes and publishes events, routes delivered events to their handlers, both through middleware.

import { randomUUID } from "node:crypto"
import { ConfigurationError, TimeoutError, UnsupportedOperationError } from "./errors.ts"
import type { AnyListener, BusEvent, BusEventInput, EventHandler, FailedBusEvent } from "./event.ts"
import type { IOutboxEventBus } from "./event-bus.ts"
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
import { createTimedPromise } from "./timed-promise.ts"

/** The options of {@link OutboxEventBus}. */
export type OutboxBusConfig = {
  /** Is told about every failure that nobody awaits; handed to the outbox by `start`. */
  onError: ErrorHandler
  /**
   * For how many events of one `emitMany` the emit middleware runs at once; an integer of at least 1.
   * @defaultValue 10
   */
  middlewareConcurrency?: number
}

/**
 * An event bus that publishes through an outbox and handles what the outbox delivers. Its methods are documented at
 * {@link IOutboxEventBus}.
 *
 * @typeParam TTransaction - the transaction that the outbox can publish in
 * @example
 * ```ts
 * const bus = new OutboxEventBus(new InMemoryOutbox(), (error) => console.error(error))
 * bus.on("order.placed", async (event) => ship(event.payload))
 * bus.start()
 * await bus.emit({ type: "order.placed", payload: { orderId: "42" } })
 * ```
 */
export class OutboxEventBus<TTransaction = unknown> implements IOutboxEventBus<TTransaction> {
  readonly #outbox: IOutbox<TTransaction>
  readonly #onError: ErrorHandler
  readonly #middlewareConcurrency: number
  readonly #listeners = new ListenerRegistry()
  readonly #emitMiddlewares: EmitMiddleware<TTransaction>[] = []
  readonly #handlerMiddlewares: HandlerMiddleware<TTransaction>[] = []

  /**
   * @param outbox - stores and delivers the events
   * @param onErrorOrConfig - the error handler, or all options
   * @throws {@link ConfigurationError} for an option that is not allowed; it names the option, the value and what is allowed
   */
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
    this.#outbox = outbox
    this.#onError = config.onError
    this.#middlewareConcurrency = checkInteger("middlewareConcurrency", config.middlewareConcurrency ?? 10, 1)
  }

  async emit<T extends string, P>(event: BusEventInput<T, P>, transaction?: TTransaction): Promise<void> {
    await this.emitMany([event], transaction)
  }

  async emitMany(events: readonly BusEventInput[], transaction?: TTransaction): Promise<void>
  async emitMany<T extends string, P>(
    events: readonly BusEventInput<T, P>[],
    transaction?: TTransaction,
  ): Promise<void>
  async emitMany(events: readonly BusEventInput[], transaction?: TTransaction): Promise<void> {
    const complete = events.map(completeEvent)
    const kept = await mapConcurrently(complete, this.#middlewareConcurrency, (event) =>
      this.#passEmitMiddleware(event, transaction),
    )
    const toPublish = kept.filter((event) => event !== undefined)
    if (toPublish.length > 0) await this.#outbox.publish(toPublish, transaction)
  }

  on<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P>): this {
    return this.subscribe([eventType], handler)
  }

  addListener<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P>): this {
    return this.on(eventType, handler)
  }

  off<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P> | AnyListener): this {
    this.#listeners.remove(eventType, handler as AnyListener)
    return this
  }

  removeListener<T extends string, P = unknown>(
    eventType: T,
    handler: EventHandler<T, P> | AnyListener,
  ): this {
    return this.off(eventType, handler)
  }

  once<T extends string, P = unknown>(eventType: T, handler: EventHandler<T, P>): this {
    this.#listeners.add([eventType], handler as AnyListener, { once: true })
    return this
  }

  subscribe<T extends string, P = unknown>(eventTypes: readonly T[], handler: EventHandler<T, P>): this {
    this.#listeners.add(eventTypes, handler as AnyListener, { once: false })
    return this
  }

  removeAllListeners(eventType?: string): this {
    this.#listeners.clear(eventType)
    return this
  }

  addMiddleware(...middlewares: Middleware<TTransaction>[]): this {
    return this.addEmitMiddleware(...middlewares).addHandlerMiddleware(...middlewares)
  }

  addEmitMiddleware(...middlewares: EmitMiddleware<TTransaction>[]): this {
    this.#emitMiddlewares.push(...middlewares)
    return this
  }

  addHandlerMiddleware(...middlewares: HandlerMiddleware<TTransaction>[]): this {
    this.#handlerMiddlewares.push(...middlewares)
    return this
  }

  // Async, so that a type that is taken rejects like every other failure; the slot is taken before the call returns.
  async waitFor<T extends string, P = unknown>(eventType: T, timeoutMs = 5000): Promise<BusEvent<T, P>> {
    const arrival = createTimedPromise<BusEvent<T, P>>(
      timeoutMs,
      () => new TimeoutError(eventType, timeoutMs, { eventType }),
    )
    const handler: EventHandler<T, P> = async (event) => arrival.resolve(event)
    this.once(eventType, handler)
    arrival.addCleanup(() => this.off(eventType, handler))
    return arrival.start()
  }

  start(): void {
    this.#outbox.start((event) => this.#handle(event), this.#onError)
  }

  async stop(): Promise<void> {
    await this.#outbox.stop()
  }

  getSubscriptionCount(): number {
    return this.#listeners.eventTypes().length
  }

  listenerCount(eventType: string): number {
    return this.#listeners.find(eventType) ? 1 : 0
  }

  getListener(eventType: string): AnyListener | undefined {
    return this.#listeners.find(eventType)
  }

  eventNames(): string[] {
    return this.#listeners.eventTypes()
  }

  async getFailedEvents(): Promise<FailedBusEvent[]> {
    this.#requireOperation("getFailedEvents")
    return this.#outbox.getFailedEvents()
  }

  async retryEvents(eventIds: string[]): Promise<void> {
    this.#requireOperation("retryEvents")
    await this.#outbox.retryEvents(eventIds)
  }

  /** The type demands the method, but outboxes without dead letters, and those in JavaScript, may lack it. */
  #requireOperation(operation: "getFailedEvents" | "retryEvents"): void {
    if (typeof this.#outbox[operation] !== "function") throw new UnsupportedOperationError(operation)
  }

  /** The event as it reached the core of the emit middleware, or undefined if it was dropped on the way. */
  async #passEmitMiddleware(
    event: BusEvent,
    transaction: TTransaction | undefined,
  ): Promise<BusEvent | undefined> {
    const context: EmitMiddlewareContext<TTransaction> = { phase: "emit", event, transaction }
    let kept: BusEvent | undefined
    await runMiddleware([...this.#emitMiddlewares], context, async () => {
      kept = context.event
    })
    return kept
  }

  async #handle(event: BusEvent): Promise<void> {
    // A copy, so that what middleware assigns to the event does not show in the outbox's reports and retries.
    const context: HandlerMiddlewareContext<TTransaction> = { phase: "handler", event: { ...event } }
    await runMiddleware([...this.#handlerMiddlewares], context, () => this.#listeners.dispatch(context.event))
  }
}

function completeEvent(event: BusEventInput): BusEvent {
  return { ...event, id: event.id ?? randomUUID(), occurredAt: event.occurredAt ?? new Date() }
}
