// The interface of the event bus: what code that emits and handles events depends on, and where its methods are documented.

import type { AnyListener, FailedBusEvent } from "./event.ts"
import type {
  EventHandlerOf,
  EventInputOf,
  EventNamesOf,
  EventOf,
  EventTypeOf,
  UntypedEvents,
} from "./event-map.ts"
import type { EmitMiddleware, HandlerMiddleware, Middleware } from "./middleware.ts"

/**
 * An event bus over an outbox.
 *
 * @typeParam TTransaction - the transaction that the outbox can publish in
 * @typeParam TEvents - a map from event types to payloads, against which the compiler checks what is emitted and handled; without it, each
 * call says for itself what it emits or handles
 */
export interface IOutboxEventBus<TTransaction = unknown, out TEvents extends object = UntypedEvents> {
  /**
   * Publishes an event: fills in `id` (a UUID) and `occurredAt` (now) where they are missing or `undefined`, runs the emit
   * middleware, and stores the event in the outbox unless it was dropped. Resolves when it is stored, not when it is handled.
   *
   * @param event - the event; it is not changed
   * @param transaction - handed to the outbox, which stores the event in it
   * @throws whatever an emit middleware or the outbox fails with; then the event is not stored
   */
  emit<T extends EventTypeOf<TEvents>, P>(
    event: EventInputOf<TEvents, T, P>,
    transaction?: TTransaction,
  ): Promise<void>

  /**
   * Publishes several events as `emit` does one, with a single publish to the outbox, in the order given. If one of them
   * fails in a middleware, none is published. Nothing happens for an empty list.
   *
   * @param events - the events; they are not changed
   * @param transaction - handed to the outbox, which stores the events in it
   * @throws whatever an emit middleware or the outbox fails with
   */
  emitMany<T extends EventTypeOf<TEvents> = EventTypeOf<TEvents>, P = unknown>(
    events: readonly EventInputOf<TEvents, T, NoInfer<P>>[],
    transaction?: TTransaction,
  ): Promise<void>

  /**
   * Registers the handler of an event type.
   *
   * @param eventType - the type; `unhandledEvents` of the bus says what becomes of events of types that have no handler
   * @param handler - is called with each event of the type; if it rejects, the outbox tries again
   * @throws {@link DuplicateListenerError} if the type has a handler
   */
  on<T extends EventTypeOf<TEvents>, P = unknown>(eventType: T, handler: EventHandlerOf<TEvents, T, P>): this

  /** The same as `on`. */
  addListener<T extends EventTypeOf<TEvents>, P = unknown>(
    eventType: T,
    handler: EventHandlerOf<TEvents, T, P>,
  ): this

  /**
   * Removes the handler of an event type, if it is this one.
   *
   * @param eventType - the type
   * @param handler - the function given to `on`, `once` or `subscribe`; for `once` too, it is the original function
   */
  off<T extends EventTypeOf<TEvents>, P = unknown>(
    eventType: T,
    handler: ((event: EventOf<TEvents, T, P>) => Promise<void>) | AnyListener,
  ): this

  /** The same as `off`. */
  removeListener<T extends EventTypeOf<TEvents>, P = unknown>(
    eventType: T,
    handler: ((event: EventOf<TEvents, T, P>) => Promise<void>) | AnyListener,
  ): this

  /**
   * Registers a handler for one event.
   *
   * It keeps the type until it has succeeded, so that the outbox's retry reaches it. It never sees a second event beside the first:
   * events of the type that arrive while it runs are released where the outbox can do that, and otherwise fail.
   *
   * @param eventType - the type
   * @param handler - is called with the next event of the type, and again with the next if that fails
   * @throws {@link DuplicateListenerError} if the type has a handler
   */
  once<T extends EventTypeOf<TEvents>, P = unknown>(
    eventType: T,
    handler: EventHandlerOf<TEvents, T, P>,
  ): this

  /**
   * Registers one handler for several event types, for all of them or, if it throws, for none.
   *
   * @param eventTypes - the types
   * @param handler - is called with each event of these types
   * @throws {@link DuplicateListenerError} if one of the types has a handler, or is given twice
   */
  subscribe<T extends EventTypeOf<TEvents>, P = unknown>(
    eventTypes: readonly T[],
    handler: EventHandlerOf<TEvents, T, P>,
  ): this

  /**
   * Removes handlers.
   *
   * @param eventType - the type whose handler to remove; without it, all are removed
   */
  removeAllListeners(eventType?: string): this

  /**
   * Adds middleware to both phases. The middleware added first is outermost. An event that is under way keeps the middleware
   * that was there when its phase began.
   *
   * @param middlewares - functions that call `next` exactly once, or throw
   */
  addMiddleware(...middlewares: Middleware<TTransaction>[]): this

  /**
   * Adds middleware to the emit phase only; the rest is as for `addMiddleware`.
   *
   * @param middlewares - functions that call `next` exactly once, or throw
   */
  addEmitMiddleware(...middlewares: EmitMiddleware<TTransaction>[]): this

  /**
   * Adds middleware to the handler phase only; the rest is as for `addMiddleware`.
   *
   * @param middlewares - functions that call `next` exactly once, or throw
   */
  addHandlerMiddleware(...middlewares: HandlerMiddleware<TTransaction>[]): this

  /**
   * Waits for the next event of a type. Takes the type's one handler slot from the call until the promise is settled.
   *
   * @param eventType - the type
   * @param timeoutMs - how long to wait, in milliseconds; default 5000
   * @returns a promise of the event. It rejects with {@link TimeoutError} when the time is over, and with
   * {@link DuplicateListenerError}, at once, when the type has a handler
   */
  waitFor<T extends EventTypeOf<TEvents>, P = unknown>(
    eventType: T,
    timeoutMs?: number,
  ): Promise<EventOf<TEvents, T, P>>

  /** Starts the outbox: events are delivered to the handlers, failures are reported to `onError`. */
  start(): void

  /** Stops the outbox, and resolves when no handler runs any more. Do not await it inside a handler. */
  stop(): Promise<void>

  /** How many event types have a handler. */
  getSubscriptionCount(): number

  /**
   * How many handlers an event type has: 0 or 1.
   *
   * @param eventType - the type
   */
  listenerCount(eventType: string): number

  /**
   * The handler of an event type, as it was registered.
   *
   * @param eventType - the type
   */
  getListener(eventType: string): AnyListener | undefined

  /** The event types that have a handler, in the order of registration. */
  eventNames(): EventNamesOf<TEvents>

  /**
   * The outbox's dead letters.
   *
   * @throws {@link UnsupportedOperationError} if the outbox keeps none
   */
  getFailedEvents(): Promise<FailedBusEvent[]>

  /**
   * Queues dead letters again.
   *
   * @param eventIds - ids of events that `getFailedEvents` lists; others are ignored
   * @throws {@link UnsupportedOperationError} if the outbox keeps none
   */
  retryEvents(eventIds: string[]): Promise<void>
}
